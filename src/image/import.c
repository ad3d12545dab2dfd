/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each layer a chain of streams, each pulling from the one before it:
 *
 *   member of the archive → digest of the blob → decompression → digest of the tar → tar entries
 *
 * Entries change the tree and their contents go to the image at once; when all layers are done the
 * tree is written behind them. A digest that is wrong is known only at the end of its layer: until
 * "done" has been said the output is nothing.
 */
#include "import.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "ext4.h"
#include "layer.h"
#include "progress.h"
#include "ratio.h"
#include "tree.h"

#define PROGRESS_STEP_BYTES (32 * MIB)

/* Passes bytes on and takes their digest. */
struct tap {
	struct stream stream;
	struct stream *from;
	struct digest *digest;
	uint64_t bytes;
};

static ssize_t read_tap(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct tap *tap = (struct tap *)stream;
	ssize_t n = tap->from->read(tap->from, ret_data, fault);

	if (n > 0) {
		digest_update(tap->digest, *ret_data, (size_t)n);
		tap->bytes += (uint64_t)n;
	}
	return n;
}

static void tap_init(struct tap *tap, struct stream *from)
{
	*tap = (struct tap){.stream = {.read = read_tap}, .from = from, .digest = digest_new()};
}

/* Reads what is left, so that the digest covers all, and compares. */
static int tap_verify(struct tap *tap, const char *wanted, const char *what, struct fault *fault)
{
	char digest[DIGEST_TEXT_BYTES];
	const void *data;
	ssize_t n;

	do {
		n = tap->stream.read(&tap->stream, &data, fault);
	} while (n > 0);
	if (n < 0)
		return -1;
	digest_text(tap->digest, digest);
	if (*wanted != '\0' && strcmp(digest, wanted) != 0)
		return fault_set(fault, FAULT_DIGEST_MISMATCH,
				 "its %s has the digest %s where %s is announced", what, digest,
				 wanted);
	return 0;
}

struct job {
	const struct import *import;
	struct oci_image image;
	struct tree tree;
	struct content content;
	struct layer layer;
	uint64_t done_bytes; /* of the layers before this one, uncompressed */
};

/* The uncompressed tar on its way to the tree: counted, bounded, reported. */
struct meter {
	struct stream stream;
	struct tap *from;
	const struct tap *blob;
	struct ratio ratio;
	const struct job *job;
	uint64_t next_report;
};

static ssize_t read_meter(struct stream *stream, const void **ret_data, struct fault *fault)
{
	struct meter *meter = (struct meter *)stream;
	const struct import *import = meter->job->import;
	ssize_t n = meter->from->stream.read(&meter->from->stream, ret_data, fault);

	if (n <= 0)
		return n;
	if (ratio_add(&meter->ratio, (uint64_t)n, meter->blob->bytes, fault) < 0)
		return -1;
	if (meter->ratio.bytes < meter->next_report)
		return n;
	meter->next_report = meter->ratio.bytes + PROGRESS_STEP_BYTES;
	if (import->parent != 0 && getppid() != import->parent)
		return fault_set(fault, FAULT_CANCELLED, "whoever started the import is gone");
	if (progress_layer(meter->job->layer.index, meter->job->image.layer_count,
			   meter->ratio.bytes, fault) < 0)
		return -1;
	return n;
}

static int apply_streams(struct job *job, const struct oci_layer *layer, struct tap *blob,
			 struct tap *tar, struct fault *fault)
{
	struct meter meter = {
		.stream = {.read = read_meter},
		.from = tar,
		.blob = blob,
		.ratio = {.limits = job->import->limits,
			  .what = "the image",
			  .base_bytes = job->done_bytes},
		.job = job,
		.next_report = PROGRESS_STEP_BYTES,
	};
	const void *data;
	ssize_t n;

	if (layer_apply(&job->layer, &meter.stream, fault) < 0)
		return -1;
	/* Behind the last entry there is padding, as much as the archive's maker likes. */
	do {
		n = meter.stream.read(&meter.stream, &data, fault);
	} while (n > 0);
	if (n < 0 || tap_verify(tar, layer->diff_id, "uncompressed form", fault) < 0 ||
	    tap_verify(blob, layer->digest, "blob", fault) < 0)
		return -1;
	job->done_bytes += meter.ratio.bytes;
	return progress_layer(job->layer.index, job->image.layer_count, meter.ratio.bytes, fault);
}

static int apply_layer(struct job *job, const struct tarball *tarball,
		       const struct oci_layer *layer, struct fault *fault)
{
	struct tarball_stream member;
	struct tap blob = {0}, tar = {0};
	struct inflate inflate = {0};
	int r;

	r = tarball_stream_open(&member, tarball, layer->member, fault);
	if (r >= 0) {
		tap_init(&blob, &member.stream);
		r = inflate_open(&inflate, &blob.stream, fault);
	}
	if (r >= 0) {
		tap_init(&tar, &inflate.stream);
		r = apply_streams(job, layer, &blob, &tar, fault);
	}
	inflate_close(&inflate);
	digest_free(tar.digest);
	digest_free(blob.digest);
	tarball_stream_close(&member);
	return r;
}

static int apply_layers(struct job *job, const struct tarball *tarball, struct fault *fault)
{
	for (unsigned i = 0; i < job->image.layer_count; i++) {
		job->layer.index = (uint16_t)(i + 1);
		if (apply_layer(job, tarball, &job->image.layers[i], fault) < 0)
			return fault_prefix(fault, "layer %u", i + 1);
	}
	return 0;
}

static int write_image(struct job *job, struct fault *fault)
{
	const struct oci_image *image = &job->image;
	struct ext4_identity identity = {.time_s = MIN(MAX(image->created_s, 1), UINT32_MAX)};
	struct ext4_size size;

	digest_uuid(image->digest, strlen(image->digest), identity.uuid);
	if (content_finish(&job->content, fault) < 0 ||
	    ext4_write_tree(job->import->output_fd, &job->tree, job->content.next_block, &identity,
			    &size, fault) < 0)
		return -1;
	if (fsync(job->import->output_fd) < 0)
		return fault_set_errno(fault, errno, "cannot write the image");
	return progress_done(size.bytes, size.used_bytes, fault);
}

static int report_config(const struct oci_image *image, struct fault *fault)
{
	const struct progress_config event = {
		.digest = image->digest,
		.names = image->names,
		.config = json_object_get(image->config, "config"),
		.architecture = image->architecture,
		.os = image->os,
	};

	return progress_config(&event, fault);
}

static int run_job(struct job *job, const struct tarball *tarball, struct fault *fault)
{
	const struct import *import = job->import;

	if (oci_load(&job->image, tarball, import->architecture, import->limits, fault) < 0 ||
	    report_config(&job->image, fault) < 0 || apply_layers(job, tarball, fault) < 0)
		return -1;
	return write_image(job, fault);
}

int import_run(const struct import *import, struct fault *fault)
{
	struct job job = {.import = import};
	struct tarball tarball;
	int r;

	tree_init(&job.tree, import->limits);
	content_init(&job.content, import->output_fd, import->limits->image_bytes_max);
	job.tree.release = content_release;
	job.tree.release_context = &job.content;
	job.layer = (struct layer){.tree = &job.tree,
				   .content = &job.content,
				   .limits = import->limits};
	r = tarball_open(&tarball, import->archive_fd, import->spool_fd, import->limits, fault);
	if (r >= 0)
		r = run_job(&job, &tarball, fault);
	oci_done(&job.image);
	tarball_close(&tarball);
	content_done(&job.content);
	tree_done(&job.tree);
	return r;
}
