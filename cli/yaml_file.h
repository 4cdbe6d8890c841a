/*
 * A YAML file as a tree of nodes with positions, read with limits: size, encoding, and who
 * may write it. Complaints are one line, `file:line:column: message`.
 */
#ifndef CLI_YAML_FILE_H
#define CLI_YAML_FILE_H

#include <yaml.h>

#include "base/bytes.h"

struct yaml_file {
	const char *name; /* as the user calls it; borrowed */
	yaml_document_t document;
	int is_loaded;
	unsigned complaints;
};

/* Returns 0, or -1 after having said what is wrong with `name`, which is the file at `path` as
 * the user calls it. `trust`: others may write it. */
int yaml_file_load(struct yaml_file *y, const char *path, const char *name, int trust);
void yaml_file_close(struct yaml_file *y);

/* The top node, NULL for an empty file. */
yaml_node_t *yaml_file_top(struct yaml_file *y);

/* Says `name:line:column: ...` about a node and counts it. Returns -1. */
__attribute__((format(printf, 3, 4))) int
yaml_complain(struct yaml_file *y, const yaml_node_t *at, const char *fmt, ...);
/* The same with the one of `names` (NULL-ended) that is near to `word`, if there is one. */
__attribute__((format(printf, 5, 6))) int
yaml_complain_near(struct yaml_file *y, const yaml_node_t *at, const char *word,
		   const char *const *names, const char *fmt, ...);

/* `name:line:column` of a node. */
#define YAML_PLACE 300
void yaml_place(char place[YAML_PLACE], const struct yaml_file *y, const yaml_node_t *at);

/* Items of a sequence. */
size_t yaml_length(const yaml_node_t *list);
yaml_node_t *yaml_item(struct yaml_file *y, const yaml_node_t *list, size_t i);

/* The text of a scalar without NUL; NULL, after having complained, for anything else. */
const char *yaml_text(struct yaml_file *y, const yaml_node_t *node, const char *what);
/* Calls `each` for a text, or for every text of a list; complains about all else. */
void yaml_each_text(struct yaml_file *y, const yaml_node_t *node, const char *what,
		    void (*each)(struct yaml_file *y, const yaml_node_t *at, const char *text,
				 void *arg),
		    void *arg);
/* true, yes, on, 1: *value = 1; false, no, off, 0: 0; else a complaint and -1. */
int yaml_bool(struct yaml_file *y, const yaml_node_t *node, const char *what, int *value);
/* A null value: nothing after the colon, or ~. */
int yaml_is_null(const yaml_node_t *node);

/*
 * A text that is the same for two pairs (`key` may be NULL) that mean the same: without
 * comments, positions and ways to write. Not for nodes that were complained about: a file can
 * make them as large as it likes with aliases.
 */
char *yaml_meaning(struct yaml_file *y, const yaml_node_t *key, const yaml_node_t *value);

/*
 * Calls `each` for every pair of a mapping, then for those of mappings that it merges ("<<")
 * whose key is new, and complains about a key that is no text or comes twice in one. Returns -1
 * if the node is no mapping.
 */
int yaml_each(struct yaml_file *y, const yaml_node_t *map, const char *what,
	      void (*each)(struct yaml_file *y, const yaml_node_t *key, const char *name,
			   yaml_node_t *value, void *arg),
	      void *arg);

#endif
