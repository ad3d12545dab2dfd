/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once over each file of the directories named on the command line. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(INPUT_BYTES_MAX);
	size_t size;

	if (file == NULL || data == NULL) {
		perror(path);
		return -1;
	}
	size = fread(data, 1, INPUT_BYTES_MAX, file);
	fclose(file);
	/* Exactly as large as the input, so that a read behind it is seen. */
	data = realloc(data, size > 0 ? size : 1);
	if (data == NULL)
		return -1;
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int replayed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (dir == NULL) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir)) != NULL) {
			char path[4096];

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			if (replay_file(path) < 0)
				return 1;
			replayed++;
		}
		closedir(dir);
	}
	printf("%d inputs\n", replayed);
	return replayed > 0 ? 0 : 1;
}
