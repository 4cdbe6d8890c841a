/*
 * A YAML file as a tree of nodes with positions, read with limits: size, encoding, and who
 * may write it. Complaints are one line, `file:line:column: message`.
 */
#ifndef CLI_YAML_FILE_H
#define CLI_YAML_FILE_H

#include <yaml.h>

#include "base/bytes.h"

struct yaml_file {
	const char *path; /* borrowed */
	yaml_document_t document;
	int is_loaded;
	unsigned complaints;
};

/* Returns 0, or -1 after having said what is wrong. `trust`: others may write it. */
int yaml_file_load(struct yaml_file *y, const char *path, int trust);
void yaml_file_close(struct yaml_file *y);

/* The top node, NULL for an empty file. */
yaml_node_t *yaml_file_top(struct yaml_file *y);

/* Says `path:line:column: ...` about a node and counts it. Returns -1. */
__attribute__((format(printf, 3, 4))) int
yaml_complain(struct yaml_file *y, const yaml_node_t *at, const char *fmt, ...);

yaml_node_t *yaml_child(struct yaml_file *y, int index);

/* The text of a scalar without NUL; NULL, after having complained, for anything else. */
const char *yaml_text(struct yaml_file *y, const yaml_node_t *node, const char *what);
/* true, yes, on, 1: *value = 1; false, no, off, 0: 0; else a complaint and -1. */
int yaml_bool(struct yaml_file *y, const yaml_node_t *node, const char *what, int *value);
/* A null value: nothing after the colon, or ~. */
int yaml_is_null(const yaml_node_t *node);

/* Appends a text that is the same for two nodes that mean the same: without comments,
 * positions and ways to write. */
void yaml_meaning(struct yaml_file *y, const yaml_node_t *node, struct bytes *out);

/*
 * Calls `each` for every pair of a mapping with a new key, and complains about a key that is
 * no text or comes twice. Returns -1 if the node is no mapping.
 */
int yaml_each(struct yaml_file *y, const yaml_node_t *map, const char *what,
	      void (*each)(struct yaml_file *y, const yaml_node_t *key, const char *name,
			   yaml_node_t *value, void *arg),
	      void *arg);

#endif
