/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of frames. First byte even: the rest is the stream, read in pieces of that size: the
 * frames are those of a reader that has it all at once. Odd: the rest is a program that fills the
 * queue and takes from it: what comes out are whole frames, in order, none twice.
 */
#include "frames.c"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frames_reader reader;
static struct frames_queue queue;

static void require(bool true_for_all)
{
	if (!true_for_all)
		abort();
}

/* The frame at the front of the stream; false when the stream ends or breaks there. */
static bool reference_next(const uint8_t **data, size_t *size, size_t *ret_length)
{
	if (*size < 4)
		return false;
	*ret_length = get_be32(*data);
	if (*ret_length == 0 || *ret_length > LIMIT_FRAME_BYTES || *size - 4 < *ret_length)
		return false;
	*data += 4 + *ret_length;
	*size -= 4 + *ret_length;
	return true;
}

static void try_reader(const uint8_t *data, size_t size, size_t piece, const int fds[2])
{
	const uint8_t *left = data;
	size_t left_size = size;
	int r = -EAGAIN;

	reader.begin = reader.end = 0;
	while (size > 0 && r == -EAGAIN) {
		size_t bytes = size < piece ? size : piece, length, wanted;
		uint8_t *frame;

		require(write(fds[1], data, bytes) == (ssize_t)bytes);
		require(frames_read(&reader, fds[0]) == (long)bytes);
		data += bytes;
		size -= bytes;
		while ((r = frames_next(&reader, &frame, &length)) == 0) {
			require(reference_next(&left, &left_size, &wanted) && wanted == length);
			require(memcmp(frame, left - length, length) == 0);
		}
	}
	if (r == -EAGAIN) {
		size_t none;

		require(!reference_next(&left, &left_size, &none));
	}
}

/* Takes from the other end, and checks the numbers that stand in the frames. */
static void take(const int fds[2], uint32_t *last)
{
	uint8_t *frame;
	size_t length;

	while (frames_read(&reader, fds[1]) > 0) {
		while (frames_next(&reader, &frame, &length) == 0) {
			require(length >= 4 && get_be32(frame) > *last);
			*last = get_be32(frame);
		}
	}
}

static void try_queue(const uint8_t *data, size_t size, const int fds[2])
{
	uint32_t number = 0, last = 0;

	reader.begin = reader.end = 0;
	queue.begin = queue.end = queue.partial = 0;
	for (; size >= 2; data += 2, size -= 2) {
		size_t length = 4 + ((size_t)(data[0] & 0x7f) << 9 | (size_t)data[1] << 1);
		uint8_t *frame;

		if ((data[0] & 0x80) != 0) {
			require(frames_write(&queue, fds[0]) == 0);
			if ((data[1] & 1) != 0)
				take(fds, &last);
			continue;
		}
		if (length > LIMIT_FRAME_BYTES)
			length = LIMIT_FRAME_BYTES;
		frame = frames_reserve(&queue, length);
		put_be32(frame, ++number);
		frames_commit(&queue, frame, length);
		require(frames_queued_bytes(&queue) <= FRAMES_QUEUE_BYTES);
	}
	do {
		require(frames_write(&queue, fds[0]) == 0);
		take(fds, &last);
	} while (frames_queued_bytes(&queue) > 0);
	require(last == number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];

	if (size < 2)
		return 0;
	require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	if ((data[0] & 1) == 0)
		try_reader(data + 1, size - 1, 1 + (size_t)data[0] * 16, fds);
	else
		try_queue(data + 1, size - 1, fds);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
