/* SPDX-License-Identifier: Apache-2.0 */
#include "completion.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "machine/state.h"
#include "wire/signal.h"

#define LIST_BYTES_MAX 4096
#define OPTS_MAX       64

/* ---- words ---- */

static void add_line(struct buf *list, const char *text)
{
	(void)!buf_printf(list, "%s\n", text);
}

static char *list_states(void)
{
	_cleanup_buf_ struct buf list = {0};

	buf_init(&list, LIST_BYTES_MAX);
	for (int i = 0; i < MACHINE_STATE_COUNT; i++)
		add_line(&list, machine_state_name((enum machine_state)i));
	return buf_take_string(&list);
}

static char *list_signals(void)
{
	_cleanup_buf_ struct buf list = {0};

	buf_init(&list, LIST_BYTES_MAX);
	for (int i = 1; i <= WIRE_SIGNAL_MAX; i++) {
		if (wire_signal_name(i) != NULL)
			add_line(&list, wire_signal_name(i));
	}
	return buf_take_string(&list);
}

static char *list_policies(void)
{
	return mem_strdup("no\non-failure\nalways\n");
}

static char *list_builders(void)
{
	return mem_strdup("docker\npodman\nbuildah\n");
}

static char *list_networks(void)
{
	return mem_strdup("user\nnone\n");
}

static char *list_shells(void)
{
	return mem_strdup("bash\nzsh\nfish\n");
}

const struct completion_word completion_words[] = {
	{"machine", NULL},
	{"image", NULL},
	{"volume", NULL},
	{"file", NULL},
	{"source", NULL}, /* what krun-run runs: an image or a path */
	{"store", NULL},  /* what -v takes: a named volume or a path */
	{"place", NULL},  /* what cp copies: a path here or MACHINE:PATH */
	{"state", list_states},
	{"signal", list_signals},
	{"policy", list_policies},
	{"builder", list_builders},
	{"network", list_networks},
	{"shell", list_shells},
};
const size_t completion_word_count = ARRAY_SIZE(completion_words);

const char *completion_value_word(const struct opt *opt)
{
	static const struct {
		const char *value_name, *word;
	} words[] = {
		{"FILE", "file"},     {"SOURCE:GUEST[:ro]", "store"}, {"STATE", "state"},
		{"SIGNAL", "signal"}, {"POLICY[:N]", "policy"},       {"BUILDER", "builder"},
		{"MODE", "network"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words) && opt->value_name != NULL; i++) {
		if (strcmp(words[i].value_name, opt->value_name) == 0)
			return words[i].word;
	}
	return NULL;
}

void completion_print_lists(FILE *out, const char *before, const char *after, const char *end)
{
	for (size_t i = 0; i < completion_word_count; i++) {
		const struct completion_word *word = &completion_words[i];
		_cleanup_free_ char *list = word->list != NULL ? word->list() : NULL;

		if (list == NULL)
			continue;
		fprintf(out, "%s%s%s", before, word->name, after);
		for (char *at = list, *stop; (stop = strchr(at, '\n')) != NULL; at = stop + 1)
			fprintf(out, " %.*s", (int)(stop - at), at);
		fputs(end, out);
	}
}

void completion_quote(FILE *out, const char *text, const char *special)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'' && strchr(special, '\'') == NULL)
			fputs("'\\'", out);
		else if (strchr(special, *text) != NULL)
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* ---- description ---- */

static struct described *being_described;

static void take_parser(const struct opt_parser *parser)
{
	static const struct opt common[] = {
		{.long_name = "help", .help = "print this help"},
		{.long_name = "version", .help = "print the version"},
	};
	size_t count = 0;

	while (parser->opts[count].long_name != NULL)
		count++;
	being_described->opts =
		mem_realloc_array(NULL, count + ARRAY_SIZE(common), sizeof(struct opt));
	memcpy(being_described->opts, parser->opts, count * sizeof(struct opt));
	memcpy(being_described->opts + count, common, sizeof(common));
	being_described->opt_count = count + ARRAY_SIZE(common);
}

static struct described *add(struct description *description, char *path)
{
	description->items = mem_realloc_array(description->items, description->count + 1,
					       sizeof(struct described));
	being_described = &description->items[description->count++];
	*being_described = (struct described){.path = path};
	return being_described;
}

static void describe_command(struct description *description, char *path,
			     const struct command *command)
{
	char *argv[] = {(char *)command->name, NULL};
	struct err ignored = {0};

	add(description, path)->operands = command->operands;
	(void)command->run(argv, &ignored);
}

static void describe_set(struct description *description, char *path, const struct command_set *set)
{
	static const struct opt opts[] = {CLI_SERVER_OPTS, OPT_END};

	add(description, path)->set = set;
	take_parser(&(struct opt_parser){.opts = opts});
	for (size_t i = 0; i < set->count; i++) {
		char *below = mem_printf("%s %s", path, set->items[i].name);

		if (set->items[i].set != NULL)
			describe_set(description, below, set->items[i].set);
		else
			describe_command(description, below, &set->items[i]);
	}
}

static void describe(struct description *description)
{
	cli_describe = take_parser;
	describe_set(description, mem_strdup("krunctl"), &krunctl_commands);
	describe_command(description, mem_strdup("krun-run"), &run_command);
	cli_describe = NULL;
}

static void description_done(struct description *description)
{
	for (size_t i = 0; i < description->count; i++) {
		free(description->items[i].path);
		free(description->items[i].opts);
	}
	free(description->items);
}

/* ---- the command ---- */

static int print_script(const char *shell, struct err *err)
{
	static const struct {
		const char *name;
		void (*print)(const struct description *description, FILE *out);
	} shells[] = {{"bash", completion_bash},
		      {"zsh", completion_zsh},
		      {"fish", completion_fish}};
	_cleanup_(description_done) struct description description = {0};

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (strcmp(shells[i].name, shell) != 0)
			continue;
		describe(&description);
		shells[i].print(&description, stdout);
		return cli_flush(err);
	}
	return err_set(err, EINVAL, "the shell is bash, zsh or fish, not '%s'", shell);
}

int command_completion(char **argv, struct err *err)
{
	static const struct opt opts[] = {OPT_END};
	static const struct opt_parser parser = {
		.usage = "krunctl completion bash|zsh|fish",
		.about = "Prints the script that lets a shell complete krunctl and krun-run.",
		.opts = opts,
	};
	const char *shell;
	int r;

	r = cli_parse_one(&parser, argv, "shell", &shell, err);
	return r <= 0 ? r : print_script(shell, err);
}
