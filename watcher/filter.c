/* Building filters: the public calls that make, fill and share them. No decisions here. */
#include "filter.h"

#include <errno.h>
#include <limits.h>

#include "base/one_line.h"
#include "braces.h"
#include "filter_object.h"
#include "ignore_file.h"

/* What a rule of each kind is, by WATCHER_RULE_... */
static const struct {
	const char *option;
	uint8_t list, syntax;
	bool file, braces;
} kinds[] = {
	{ "--pattern", LIST_WANT, RULE_SYNTAX_GLOB, false, true },
	{ "--ignore", LIST_IGNORE, RULE_SYNTAX_GLOB, false, true },
	{ "--include", LIST_KEEP, RULE_SYNTAX_GLOB, false, true },
	{ "--ext", LIST_WANT, RULE_SYNTAX_EXTENSION, false, false },
	{ "--regex", LIST_WANT, RULE_SYNTAX_REGEX, false, false },
	{ "--ignore-regex", LIST_IGNORE, RULE_SYNTAX_REGEX, false, false },
	{ "--filter-file", LIST_WANT, RULE_SYNTAX_GLOB, true, false },
	{ "--ignore-file", LIST_IGNORE, RULE_SYNTAX_GLOB, true, false },
	{ "pattern", LIST_WANT, RULE_SYNTAX_FULL, false, false },
	{ "ignore pattern", LIST_IGNORE, RULE_SYNTAX_FULL, false, false },
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

/* Lowest of all rules, so that any ignore file may re-include. */
static const char *const defaults[] = {
	".git",   ".hg",    ".svn",    ".jj",    ".bzr",      "_darcs",      ".fossil",
	".pijul", "CVS/",   "*.swp",   "*.swo",  "*.swx",     "4913",        "*~",
	".#*",    "#*#",    "*.kate-swp", ".goutputstream-*", ".~lock.*#",   "*___jb_tmp___",
	"*___jb_old___", ".DS_Store", "__pycache__", "*.pyc", "*.pyo",
};

const char *watcher_filter_default(size_t i)
{
	return i < sizeof defaults / sizeof *defaults ? defaults[i] : NULL;
}

static void say(watcher_error *err, int code, const char *what, const char *why)
{
	if (!err)
		return;
	*err = (watcher_error){ .code = code };
	snprintf(err->message, sizeof err->message, "%.400s: %s", what, why);
	one_line(err->message);
}

int watcher__filter_fail(watcher_error *err, int code, const char *what)
{
	say(err, code, what, uv_strerror(code));
	return code;
}

int watcher_filter_new(watcher_filter **f, watcher_error *err)
{
	watcher_filter *made = calloc(1, sizeof *made);

	if (!made)
		return watcher__filter_fail(err, UV_ENOMEM, "filter");
	made->refs = 1;
	*f = made;
	return 0;
}

watcher_filter *watcher__filter_ref(const watcher_filter *f)
{
	/* Counting is the one thing that is not const about a filter in use. */
	watcher_filter *shared = (watcher_filter *)(uintptr_t)f;

	if (shared)
		__atomic_add_fetch(&shared->refs, 1, __ATOMIC_RELAXED);
	return shared;
}

void watcher_filter_free(watcher_filter *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (int i = 0; i < LIST_COUNT; i++) {
		for (uint32_t k = 0; k < f->lists[i].count; k++)
			watcher__rules_unref(f->lists[i].sets[k]);
		free(f->lists[i].sets);
	}
	watcher__rules_unref(f->defaults);
	free(f->predicates);
	free(f);
}

static bool in_use(const watcher_filter *f)
{
	return __atomic_load_n(&f->refs, __ATOMIC_RELAXED) > 1;
}

static struct rule_set *share(struct rule_set *set)
{
	if (set)
		__atomic_add_fetch(&set->refs, 1, __ATOMIC_RELAXED);
	return set;
}

static int append_set(struct rule_list *list, struct rule_set *set)
{
	if (list->count == list->cap) {
		uint32_t cap = list->cap ? list->cap * 2 : 4;
		struct rule_set **v = realloc(list->sets, cap * sizeof(*v));

		if (!v)
			return UV_ENOMEM;
		list->sets = v;
		list->cap = cap;
	}
	list->sets[list->count++] = set;
	return 0;
}

static int copy_lists(watcher_filter *to, const watcher_filter *from)
{
	int r = 0;

	for (int i = 0; i < LIST_COUNT; i++) {
		for (uint32_t k = 0; k < from->lists[i].count && r == 0; k++) {
			r = append_set(&to->lists[i], from->lists[i].sets[k]);
			if (r == 0)
				share(from->lists[i].sets[k]);
		}
		to->lists[i].next_seq = from->lists[i].next_seq;
	}
	return r;
}

int watcher_filter_copy(watcher_filter **f, const watcher_filter *from, watcher_error *err)
{
	watcher_filter *made = NULL;
	int r = watcher_filter_new(&made, err);

	if (r < 0)
		return r;
	made->flags = from->flags;
	made->kinds = from->kinds;
	made->on_problem = from->on_problem;
	made->problem_arg = from->problem_arg;
	made->defaults = share(from->defaults);
	r = copy_lists(made, from);
	for (uint32_t i = 0; i < from->predicate_count && r == 0; i++)
		r = watcher_filter_predicate(made, from->predicates[i].cb, from->predicates[i].arg);
	if (r < 0) {
		watcher_filter_free(made);
		return watcher__filter_fail(err, r, "filter");
	}
	*f = made;
	return 0;
}

/* ---- adding rules ---- */

struct adding {
	watcher_filter *f;
	struct rule_list *list;
	struct rule_set *set;
	unsigned rule;
	const char *origin;
	watcher_error *err;
};

static int add_one(const char *text, size_t len, void *arg)
{
	struct adding *a = arg;
	unsigned flags = a->f->flags & WATCHER_FILTER_IGNORE_CASE ? RULE_ICASE : 0;

	return watcher__rules_add(a->set, (enum rule_syntax)kinds[a->rule].syntax, text, len, 0,
				  flags, a->err);
}

static int add_extensions(struct adding *a, const char *list)
{
	const char *text = list;
	int r = 0;

	do {
		struct glob_fault fault;
		size_t n;

		/* "c, h" and "*.c" can only mean "c,h" and ".c". */
		text += strspn(text, " ");
		text += text[0] == '*' && text[1] == '.';
		n = strcspn(text, ",");
		r = watcher__extension_check(text, n, &fault);
		fault.offset += (size_t)(text - list);
		r = r < 0 ? watcher__rule_refuse(a->err, a->origin, list, r, fault) :
			    add_one(text, n, a);
		text += n;
	} while (r == 0 && *text++ == ',');
	return r;
}

static int add_alternatives(struct adding *a, const char *text)
{
	int r = watcher__braces_expand(text, strlen(text), add_one, a);

	if (r == UV_E2BIG && a->err && !a->err->message[0])
		say(a->err, r, text, "braces for more than 256 patterns");
	return r;
}

static int add_texts(struct adding *a, const char *text)
{
	if (kinds[a->rule].syntax == RULE_SYNTAX_EXTENSION)
		return add_extensions(a, text);
	if (kinds[a->rule].braces)
		return add_alternatives(a, text);
	return add_one(text, strlen(text), a);
}

/* Numbers the rules of the set from `first` on, and compiles them. */
static int finish_rules(struct adding *a, uint32_t first)
{
	int r = 0;

	for (uint32_t i = first; i < a->set->count; i++)
		a->set->rules[i].seq = a->list->next_seq + (i - first);
	if (a->list != &a->f->lists[LIST_IGNORE])
		r = watcher__rules_compile_below(a->set);
	if (r == 0)
		r = watcher__rules_compile(a->set, a->err);
	if (r == 0)
		a->list->next_seq += a->set->count - first;
	return r;
}

/* The last set of the list if the rules of this option are still being added to it. */
static struct rule_set *open_set(const struct adding *a)
{
	struct rule_set *last = a->list->count ? a->list->sets[a->list->count - 1] : NULL;

	return last && last->refs == 1 && !last->base && strcmp(last->origin, a->origin) == 0 ?
		       last :
		       NULL;
}

static int add_rule(struct adding *a, const char *text)
{
	struct rule_set *made = NULL;
	uint32_t first;
	int r = 0;

	if (!(a->set = open_set(a))) {
		r = watcher__rules_new(&made, a->origin, NULL);
		a->set = made;
	}
	if (r < 0)
		return watcher__filter_fail(a->err, r, a->origin);
	first = a->set->count;
	if ((r = add_texts(a, text)) == 0)
		r = finish_rules(a, first);
	if (r < 0)
		watcher__rules_truncate(a->set, first);
	if (r == 0 && made && (r = append_set(a->list, made)) == 0)
		made = NULL;
	watcher__rules_unref(made);
	if (r < 0 && (!a->err || a->err->message[0] == '\0'))
		watcher__filter_fail(a->err, r, text);
	return r;
}

/* ---- adding files ---- */

/* The directory of the file, without symbolic links, for its patterns to be relative to. */
static int directory_of(char **dir, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) :
			     strdup(".");

	if (!name)
		return UV_ENOMEM;
	*dir = realpath(name, NULL);
	free(name);
	return *dir ? 0 : -errno;
}

static int add_file(struct adding *a, const char *path)
{
	char *dir = NULL;
	int r = directory_of(&dir, path);

	a->set = NULL;
	if (r == 0)
		r = watcher__ignore_file_read(&a->set, path, path, dir, IGNORE_FILE_ASKED);
	if (r == 0)
		r = finish_rules(a, 0);
	if (r == 0)
		r = append_set(a->list, a->set);
	if (r < 0) {
		watcher__rules_unref(a->set);
		say(a->err, r, path, watcher__ignore_file_error(r));
	}
	free(dir);
	return r;
}

int watcher_filter_add(watcher_filter *f, int rule, const char *text, const char *origin,
		       watcher_error *err)
{
	struct adding a = { .f = f, .rule = (unsigned)rule, .err = err };

	if (err)
		*err = (watcher_error){ 0 };
	if (rule < 0 || rule >= KIND_COUNT)
		return watcher__filter_fail(err, UV_EINVAL, "unknown kind of rule");
	if (!text)
		return watcher__filter_fail(err, UV_EINVAL, "a rule without its text");
	if (in_use(f))
		return watcher__filter_fail(err, UV_EBUSY, "a watch has the filter");
	a.list = &f->lists[kinds[rule].list];
	a.origin = origin ? origin : kinds[rule].option;
	return kinds[rule].file ? add_file(&a, text) : add_rule(&a, text);
}

/* ---- switches ---- */

static int make_defaults(struct rule_set **set)
{
	struct rule_set *made;
	int r = watcher__rules_new(&made, "default", NULL);

	if (r < 0)
		return r;
	for (size_t i = 0; watcher_filter_default(i) && r == 0; i++)
		r = watcher__rules_add(made, RULE_SYNTAX_GLOB, defaults[i], strlen(defaults[i]), 0,
				       0, NULL);
	if (r == 0)
		r = watcher__rules_compile(made, NULL);
	if (r == 0)
		*set = made;
	else
		watcher__rules_unref(made);
	return r;
}

int watcher_filter_set(watcher_filter *f, unsigned flags)
{
	int r = 0;

	if (flags >= WATCHER_FILTER_NEEDS_PATTERN << 1)
		return UV_EINVAL;
	if (in_use(f))
		return UV_EBUSY;
	if (flags & WATCHER_FILTER_DEFAULTS && !f->defaults)
		r = make_defaults(&f->defaults);
	if (r < 0)
		return r;
	f->flags = flags;
	return 0;
}

int watcher_filter_kinds(watcher_filter *f, unsigned kinds_)
{
	if (kinds_ & ~(unsigned)(WATCHER_ALL | WATCHER_CONTROL))
		return UV_EINVAL;
	if (in_use(f))
		return UV_EBUSY;
	f->kinds = kinds_;
	return 0;
}

int watcher_filter_predicate(watcher_filter *f, watcher_predicate cb, void *arg)
{
	struct predicate *v;

	if (!cb)
		return UV_EINVAL;
	if (in_use(f))
		return UV_EBUSY;
	v = realloc(f->predicates, (f->predicate_count + 1) * sizeof *v);
	if (!v)
		return UV_ENOMEM;
	f->predicates = v;
	v[f->predicate_count++] = (struct predicate){ cb, arg };
	return 0;
}

int watcher_filter_on_problem(watcher_filter *f, watcher_filter_problem cb, void *arg)
{
	if (in_use(f))
		return UV_EBUSY;
	f->on_problem = cb;
	f->problem_arg = arg;
	return 0;
}
