/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/net_config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static const struct json_field fields[] = {
	{"mac", JSON_WANT_STRING, offsetof(struct net_config, mac), .required = true},
	{"network", JSON_WANT_CUSTOM, offsetof(struct net_config, network), .required = true,
	 .read = machine_network_read},
	{"ports", JSON_WANT_CUSTOM, offsetof(struct net_config, ports), .read = machine_ports_read},
	{"mtu", JSON_WANT_INT, offsetof(struct net_config, mtu), .min = 1280, .max = LIMIT_MTU},
	JSON_FIELD_END,
};

void net_config_init(struct net_config *config)
{
	*config = (struct net_config){.mtu = LIMIT_MTU};
}

void net_config_done(struct net_config *config)
{
	free(config->mac);
	machine_network_done(&config->network);
	machine_ports_done(&config->ports);
	*config = (struct net_config){0};
}

int net_config_parse(struct net_config *config, const char *text, size_t length, struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	uint8_t mac[6];
	int r;

	r = json_parse(text, length, &object, err);
	if (r < 0)
		return r;
	r = json_read(object, "", fields, config, err);
	if (r < 0)
		return r;
	if (mac_parse(config->mac, mac) < 0)
		return err_set(err, EINVAL, "mac is not an Ethernet address");
	return 0;
}

void net_config_write(struct jsonw *w, const struct net_config *config)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "mac", config->mac);
	machine_network_write(w, &config->network);
	machine_ports_write(w, "ports", &config->ports);
	jsonw_int(w, "mtu", config->mtu);
	jsonw_object_end(w);
}

int mac_parse(const char *text, uint8_t ret_mac[6])
{
	unsigned bytes[6];
	int end = 0;

	if (strlen(text) != 17 ||
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
		   &bytes[4], &bytes[5], &end) != 6 ||
	    end != 17)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)bytes[i];
	return 0;
}

void mac_format(const uint8_t mac[6], char ret_text[18])
{
	snprintf(ret_text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
}
