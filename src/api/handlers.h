/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers of routes.c. Each one parses, finds, calls and replies; what it calls knows no HTTP.
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

struct request;

void machines_http_create(struct request *request);
void machines_http_list(struct request *request);
void machines_http_get(struct request *request);
void machines_http_delete(struct request *request);
void machines_http_start(struct request *request);
void machines_http_stop(struct request *request);
void machines_http_restart(struct request *request);
void machines_http_signal(struct request *request);
void machines_http_wait(struct request *request);

void volumes_http_create(struct request *request);
void volumes_http_list(struct request *request);
void volumes_http_get(struct request *request);
void volumes_http_delete(struct request *request);

void events_http_get(struct request *request);

void stats_http_get(struct request *request);
void metrics_http_get(struct request *request);

void logs_http_get(struct request *request);
void exec_http_run(struct request *request);
void exec_ws_open(struct request *request);
void files_http_get(struct request *request);
void files_http_put(struct request *request);

void images_http_import(struct request *request);
void images_http_list(struct request *request);
void images_http_get(struct request *request);
void images_http_delete(struct request *request);

void server_http_info(struct request *request);
void server_http_healthz(struct request *request);
void server_http_readyz(struct request *request);
void server_http_openapi(struct request *request);

#endif
