#include "config.h"
#include "t/power.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"

#define SECTOR 512u
#define PATH_SIZE 4096

struct node;

/* An operation that is not synced. */
struct op {
	enum disk_op op;
	uint64_t at, n;
	const char *p; /* a write's bytes: in the journal */
	/* of a directory: `name` goes, and `to` comes and is node; or NULL */
	const char *name, *to;
	struct node *node;
};

struct entry {
	const char *name;
	struct node *node;
};

struct entries {
	struct entry *v;
	size_t n;
};

struct node {
	bool is_dir;
	mode_t mode;
	char *bytes; /* what is durable */
	uint64_t size;
	struct entries live, durable;
	struct op *ops;
	size_t nops;
};

/* How the unsynced operations of one node fare. */
enum luck { LUCK_ALL, LUCK_NONE, LUCK_PREFIX, LUCK_OPS, LUCK_SECTORS, LUCK_COUNT };

static uint64_t rng;
static struct power_result result;

static uint64_t chance(uint64_t n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (rng >> 33) % n;
}

static void *grow(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (p == NULL)
		abort();
	return p;
}

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "power: could not %s %s: %s\n", what, path,
		strerror(errno));
	abort();
}

/* --- nodes ------------------------------------------------------------ */

static struct node *node_new(bool is_dir, mode_t mode)
{
	struct node *node = grow(NULL, sizeof(*node));

	*node = (struct node){.is_dir = is_dir, .mode = mode};
	return node;
}

static struct entry *find(struct entries *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return &l->v[i];
	return NULL;
}

static void drop(struct entries *l, const char *name)
{
	struct entry *ent = find(l, name);

	if (ent != NULL)
		*ent = l->v[--l->n];
}

static void put(struct entries *l, const char *name, struct node *node)
{
	struct entry *ent = find(l, name);

	if (ent == NULL) {
		l->v = grow(l->v, (l->n + 1) * sizeof(*l->v));
		ent = &l->v[l->n++];
	}
	*ent = (struct entry){name, node};
}

static void change(struct entries *l, const struct op *op)
{
	if (op->name != NULL)
		drop(l, op->name);
	if (op->to != NULL)
		put(l, op->to, op->node);
}

static void add_op(struct node *node, struct op op)
{
	node->ops = grow(node->ops, (node->nops + 1) * sizeof(op));
	node->ops[node->nops++] = op;
	if (node->is_dir)
		change(&node->live, &op);
}

/* --- what an operation does to what is durable -------------------------- */

static void resize(struct node *node, uint64_t size)
{
	node->bytes = grow(node->bytes, size);
	if (size > node->size)
		memset(node->bytes + node->size, 0, size - node->size);
	node->size = size;
}

static void write_some(struct node *node, const struct op *op, bool by_sector)
{
	uint64_t end = op->at + op->n, at = op->at, next;

	/* its size may arrive without its bytes */
	if (by_sector && end > node->size && chance(2))
		resize(node, end);
	for (; at < end; at = next) {
		next = (at / SECTOR + 1) * SECTOR;
		next = next < end ? next : end;
		if (by_sector && chance(2)) {
			result.lost++;
			continue;
		}
		if (next > node->size)
			resize(node, next);
		memcpy(node->bytes + at, op->p + (at - op->at), next - at);
	}
}

static void apply(struct node *node, const struct op *op, bool by_sector)
{
	if (node->is_dir)
		change(&node->durable, op);
	else if (op->op == DISK_WRITE)
		write_some(node, op, by_sector);
	else if (op->op == DISK_TRUNCATE)
		resize(node, op->n);
	else if (op->at + op->n > node->size)
		resize(node, op->at + op->n);
}

static void settle(struct node *node)
{
	for (size_t i = 0; i < node->nops; i++)
		apply(node, &node->ops[i], false);
	node->nops = 0;
}

static void lose(struct node *node)
{
	enum luck luck = (enum luck)chance(LUCK_COUNT);
	size_t prefix = chance(node->nops + 1);

	for (size_t i = 0; i < node->nops; i++) {
		if (luck == LUCK_NONE || (luck == LUCK_PREFIX && i >= prefix) ||
		    ((luck == LUCK_OPS || (luck == LUCK_SECTORS && node->is_dir)) &&
		     chance(2)))
			result.lost++;
		else
			apply(node, &node->ops[i], luck == LUCK_SECTORS);
	}
	node->nops = 0;
}

/* --- reading how it was ------------------------------------------------ */

static char *slurp(const char *path, uint64_t *n, mode_t *mode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *p;

	if (fd < 0 && errno == ENOENT) {
		*n = 0;
		return NULL;
	}
	if (fd < 0 || fstat(fd, &st) != 0)
		fail("open", path);
	*n = (uint64_t)st.st_size;
	*mode = st.st_mode & 0777;
	p = grow(NULL, *n);
	if (read(fd, p, *n) != (ssize_t)*n)
		fail("read", path);
	close(fd);
	return p;
}

static struct node *load(const char *path)
{
	struct node *dir = node_new(true, 0750), *node;
	DIR *d = opendir(path);
	struct dirent *ent;
	char below[PATH_SIZE];

	while (d != NULL && (ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, ent->d_name);
		if (ent->d_type == DT_DIR) {
			node = load(below);
		} else {
			node = node_new(false, 0640);
			node->bytes = slurp(below, &node->size, &node->mode);
		}
		put(&dir->live, strdup(ent->d_name), node);
		put(&dir->durable, strdup(ent->d_name), node);
	}
	if (d != NULL)
		closedir(d);
	return dir;
}

/* --- doing it again ----------------------------------------------------- */

/* The directory that a path below `tree` lies in, and the last name; NULL for a
 * path elsewhere and for what has been removed.  name NULL: the node itself. */
static struct node *walk(struct node *root, const char *tree, const char *path,
			 const char **name)
{
	size_t n = strlen(tree);
	struct node *dir = root;
	char *copy, *word, *rest;

	if (strncmp(path, tree, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	copy = strdup(path + n);
	word = strtok_r(copy, "/", &rest);
	while (word != NULL && dir != NULL) {
		char *next = strtok_r(NULL, "/", &rest);
		struct entry *ent;

		if (name != NULL && next == NULL) {
			*name = word;
			return dir;
		}
		ent = find(&dir->live, word);
		dir = ent ? ent->node : NULL;
		word = next;
	}
	return name == NULL ? dir : NULL;
}

static void make(struct node *root, const char *tree, const char *path, bool is_dir,
		 bool empties)
{
	const char *name;
	struct node *dir = walk(root, tree, path, &name);
	struct entry *ent = dir ? find(&dir->live, name) : NULL;

	if (dir == NULL)
		return;
	if (ent == NULL)
		add_op(dir, (struct op){.to = name,
					.node = node_new(is_dir, is_dir ? 0750 : 0640)});
	else if (empties)
		add_op(ent->node, (struct op){.op = DISK_TRUNCATE});
}

static void move(struct node *root, const char *tree, const char *from,
		 const char *to)
{
	const char *was, *is;
	struct node *a = walk(root, tree, from, &was);
	struct node *b = walk(root, tree, to, &is);
	struct entry *ent = a ? find(&a->live, was) : NULL;

	if (ent == NULL || a != b)
		fail("understand the move of", from);
	add_op(a, (struct op){.name = was, .to = is, .node = ent->node});
}

static void unlink_name(struct node *root, const char *tree, const char *path)
{
	const char *name;
	struct node *dir = walk(root, tree, path, &name);

	if (dir != NULL && find(&dir->live, name) != NULL)
		add_op(dir, (struct op){.name = name});
}

/* A journalling file system tries the changes of a directory again. */
static void sync_node(struct node *node, bool failed)
{
	if (!failed)
		settle(node);
	else if (!node->is_dir)
		lose(node);
}

static void replay(struct node *root, const char *tree,
		   const struct disk_record *r, const char *path, const char *to,
		   const char *bytes)
{
	struct node *node;

	switch ((enum disk_op)r->op) {
	case DISK_OPEN:
		make(root, tree, path, false, (r->n & 2) != 0);
		return;
	case DISK_MKDIR:
		make(root, tree, path, true, false);
		return;
	case DISK_RENAME:
		move(root, tree, path, to);
		return;
	case DISK_UNLINK:
	case DISK_RMDIR:
		unlink_name(root, tree, path);
		return;
	default:
		break;
	}
	node = walk(root, tree, path, NULL);
	if (node == NULL)
		return;
	if (r->op == DISK_SYNC || r->op == DISK_SYNC_DIR)
		sync_node(node, r->failed != 0);
	else
		add_op(node, (struct op){.op = (enum disk_op)r->op, .at = r->at,
					 .n = r->n, .p = bytes});
}

/* The last record may be cut short by the kill. */
static void replay_all(struct node *root, const char *tree, const char *journal)
{
	mode_t mode;
	uint64_t n, at = 0;
	const char *p = slurp(journal, &n, &mode);

	while (n - at >= sizeof(struct disk_record)) {
		struct disk_record r;
		char path[PATH_SIZE], to[PATH_SIZE];
		uint64_t whole;

		memcpy(&r, p + at, sizeof(r));
		whole = sizeof(r) + r.path_n + r.to_n +
			(r.op == DISK_WRITE ? r.n : 0);
		if (whole > n - at)
			break;
		if (r.path_n >= sizeof(path) || r.to_n >= sizeof(to))
			abort();
		at += sizeof(r);
		snprintf(path, sizeof(path), "%.*s", (int)r.path_n, p + at);
		snprintf(to, sizeof(to), "%.*s", (int)r.to_n, p + at + r.path_n);
		replay(root, tree, &r, path, to, p + at + r.path_n + r.to_n);
		at += whole - sizeof(r);
	}
}

/* --- how it may be now --------------------------------------------------- */

static void lose_all(struct node *node)
{
	result.files += node->nops > 0;
	result.operations += (unsigned)node->nops;
	lose(node);
	for (size_t i = 0; i < node->durable.n; i++)
		lose_all(node->durable.v[i].node);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st, (void)type;
	return ftw->level > 0 ? remove(path) : 0;
}

static void store(const struct node *node, const char *path, bool is_root)
{
	int fd;

	if (!node->is_dir) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			  node->mode);
		if (fd < 0 ||
		    write(fd, node->bytes, node->size) != (ssize_t)node->size)
			fail("write", path);
		close(fd);
		return;
	}
	if (mkdir(path, node->mode) != 0 && !(is_root && errno == EEXIST))
		fail("make", path);
	for (size_t i = 0; i < node->durable.n; i++) {
		char below[PATH_SIZE];

		snprintf(below, sizeof(below), "%s/%s", path,
			 node->durable.v[i].name);
		store(node->durable.v[i].node, below, false);
	}
}

struct power_result power_cut(const char *tree, const char *base,
			      const char *journal, uint64_t seed)
{
	struct node *root = load(base);

	rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	result = (struct power_result){0};
	replay_all(root, tree, journal);
	lose_all(root);
	nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	store(root, tree, true);
	store(root, base, true);
	unlink(journal);
	return result;
}
