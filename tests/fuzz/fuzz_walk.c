/*
 * libFuzzer target for the path walk: a random tree on tmpfs, with links and mounts, roots and places to stand anywhere
 * in it, and paths through it.  Where each ends, or what is wrong with it, must be what a model says that is as plain
 * as it can be: it knows path_resolution(7), symlink(7) and openat2(2), and neither caches nor locks.
 */
#include <stdio.h>

#include "abi/errno.h"
#include "abi/fcntl.h"
#include "abi/types.h"
#include "sentry/vfs/internal.h"
#include "tests/fuzz/bytes.h"

#define NODES_MAX 32
#define NAMES 5 /* "a" to "e" */
#define TEXT_MAX 64
#define LINKS_MAX 40 /* followed in one walk, as Linux's MAXSYMLINKS */
#define SCOPED (L_RESOLVE_BENEATH | L_RESOLVE_IN_ROOT)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pipes and devices are nothing to walk through. */
int fifo_open(struct inode *i, struct file *f)
{
	(void)i, (void)f;
	return -ENXIO;
}

void fifo_release(struct inode *i)
{
	(void)i;
}

int device_open(struct inode *i, struct file *f)
{
	(void)i, (void)f;
	return -ENXIO;
}

struct node {
	enum { DIRECTORY, REGULAR, LINK } kind;
	struct node *parent; /* in its own file system; a root's is NULL */
	struct node *child[NAMES];
	struct node *mounted;  /* the root of what is mounted here */
	struct node *covers;   /* of a root: where it is mounted; NULL: nowhere, it is the first */
	unsigned fs;	       /* which mount it is of */
	char target[TEXT_MAX]; /* a link's */
	struct path path;      /* what the VFS has for it */
};

static struct node nodes[NODES_MAX];
static unsigned node_count, fs_count;
static struct lookup me;

/* ---- the model ---- */

struct model {
	struct node *at, *root;
	unsigned flags, resolve, links;
};

static struct node *top(struct node *n)
{
	while (n->mounted)
		n = n->mounted;
	return n;
}

/* Onto what is mounted at n. */
static int enter(struct model *m, struct node *n)
{
	if (n->mounted && (m->resolve & L_RESOLVE_NO_XDEV))
		return -EXDEV;
	m->at = top(n);
	return 0;
}

static int stay_in_root(const struct model *m)
{
	return m->resolve & L_RESOLVE_BENEATH ? -EXDEV : 0;
}

static int up(struct model *m)
{
	struct node *n = m->at;

	if (n == m->root)
		return stay_in_root(m);
	if (!n->parent) {
		do {
			n = n->covers;
			if (!n || n == m->root)
				return stay_in_root(m);
		} while (!n->parent);
		if (m->resolve & L_RESOLVE_NO_XDEV)
			return -EXDEV;
	}
	return enter(m, n->parent);
}

static int to_root(struct model *m)
{
	if (m->resolve & L_RESOLVE_BENEATH)
		return -EXDEV;
	if ((m->resolve & L_RESOLVE_NO_XDEV) && m->at->fs != m->root->fs)
		return -EXDEV;
	m->at = m->root;
	return 0;
}

static int walk_text(struct model *m, const char *text, bool last);

/* Whether nothing but slashes is left. */
static bool ends(const char *text)
{
	return text[strspn(text, "/")] == '\0';
}

/* One name, of one letter; follow: if it is a link. */
static int step(struct model *m, char name, bool follow, bool last)
{
	struct node *n = name >= 'a' && name < 'a' + NAMES ? m->at->child[name - 'a'] : NULL;
	int r;

	if (!n)
		return -ENOENT;
	if (n->kind != LINK || !follow) {
		r = enter(m, n);
		return r;
	}
	if (m->links++ >= LINKS_MAX || (m->resolve & L_RESOLVE_NO_SYMLINKS))
		return -ELOOP;
	return walk_text(m, n->target, last);
}

/* last: nothing comes after this text, so that its last name is the path's. */
static int walk_text(struct model *m, const char *text, bool last)
{
	int r = text[0] == '/' ? to_root(m) : 0;

	while (r == 0) {
		bool final, dots;
		size_t len;

		text += strspn(text, "/");
		if (!*text)
			break;
		if (m->at->kind != DIRECTORY)
			return -ENOTDIR;
		len = strcspn(text, "/");
		dots = text[0] == '.';
		final = last && ends(text + len);
		if (final && !dots && text[len] == '/')
			m->flags |= LOOKUP_FOLLOW | LOOKUP_DIRECTORY;
		if (dots)
			r = len == 2 ? up(m) : 0;
		else
			r = step(m, text[0], !final || (m->flags & LOOKUP_FOLLOW), final);
		text += len;
	}
	return r;
}

/* Where path leads from start, seen from root; or what is wrong with it. */
static int model_resolve(struct node *start, struct node *root, const char *path, unsigned flags, unsigned resolve,
			 struct node **out)
{
	struct model m = {start, root, flags, resolve, 0};
	int r;

	if (!path[0])
		return -ENOENT;
	if (resolve & SCOPED)
		m.root = start;
	if (path[0] == '/' && !(resolve & SCOPED))
		m.at = root; /* even with NO_XDEV: it is where the walk begins */
	r = walk_text(&m, path, true);
	if (r == 0 && (m.flags & LOOKUP_DIRECTORY) && m.at->kind != DIRECTORY)
		r = -ENOTDIR;
	*out = m.at;
	return r;
}

/* ---- the tree, in the model and in the VFS ---- */

static struct node *new_node(int kind, struct node *parent, unsigned fs)
{
	struct node *n = &nodes[node_count++];

	memset(n, 0, sizeof(*n));
	n->kind = kind;
	n->parent = parent;
	n->fs = fs;
	return n;
}

/* The name of n from the first root, as text. */
static void full_name(const struct node *n, char *out, size_t size)
{
	char name[3] = "/x";

	while (!n->parent && n->covers)
		n = n->covers;
	if (!n->parent) {
		out[0] = '\0';
		return;
	}
	full_name(n->parent, out, size);
	for (unsigned i = 0; i < NAMES; i++)
		if (n->parent->child[i] == n)
			name[1] = (char)('a' + i);
	REQUIRE(strlen(out) + 3 < size);
	strcat(out, name);
}

static void find(struct node *n)
{
	char name[4 * NODES_MAX];

	int r;

	full_name(n, name, sizeof(name));
	r = vfs_resolve(&me, L_AT_FDCWD, name[0] ? name : "/", 0, 0, &n->path);
	if (r < 0)
		fprintf(stderr, "%s: %d\n", name, r);
	REQUIRE(r == 0);
}

/* A path of up to six components, each of which may be anything. */
static void random_text(struct bytes *b, char out[TEXT_MAX])
{
	static const char *const parts[] = {"a", "b", "c", "d", "e", "..", ".", "f", "a", "..", "b"};
	unsigned count = choose(b, 7);

	out[0] = '\0';
	if (choose(b, 4) == 0)
		strcat(out, "/");
	for (unsigned i = 0; i < count; i++) {
		strcat(out, parts[choose(b, sizeof(parts) / sizeof(parts[0]))]);
		if (i + 1 < count || choose(b, 4) == 0)
			strcat(out, choose(b, 8) == 0 ? "//" : "/");
	}
}

static struct node *random_directory(struct bytes *b)
{
	struct node *n = &nodes[choose(b, node_count)];

	return n->kind == DIRECTORY ? n : NULL;
}

/* Whether the name of n still leads there: nothing is mounted on it or above it. */
static bool visible(const struct node *n)
{
	while (n && !n->mounted) {
		while (n && !n->parent)
			n = n->covers; /* which has something mounted on it: this */
		n = n ? n->parent : NULL;
	}
	return !n;
}

static void mount_on(struct node *at)
{
	struct super_block *sb;

	REQUIRE(tmpfs_create(0, 0755, 0, 0, &sb) == 0);
	REQUIRE(vfs_mount(NULL, sb, &at->path, 0, "m", NULL) == 0);
	at->mounted = new_node(DIRECTORY, NULL, ++fs_count);
	at->mounted->covers = at;
	find(at->mounted);
}

static void make_child(struct bytes *b, struct node *dir)
{
	unsigned letter = choose(b, NAMES);
	char name[4 * NODES_MAX];
	struct file *f;
	struct node *n;

	if (dir->child[letter])
		return;
	n = dir->child[letter] = new_node((int)choose(b, 3), dir, dir->fs);
	full_name(n, name, sizeof(name));
	switch (n->kind) {
	case DIRECTORY:
		REQUIRE(vfs_mkdir(&me, L_AT_FDCWD, name, 0755) == 0);
		break;
	case REGULAR:
		REQUIRE(vfs_open(&me, L_AT_FDCWD, name, L_O_CREAT | L_O_WRONLY, 0644, 0, &f) == 0);
		file_put(f);
		break;
	case LINK:
		random_text(b, n->target);
		if (!n->target[0])
			strcpy(n->target, ".");
		REQUIRE(vfs_symlink(&me, n->target, L_AT_FDCWD, name) == 0);
		break;
	}
	find(n);
}

static void build(struct bytes *b)
{
	unsigned steps = choose(b, NODES_MAX);

	node_count = fs_count = 0;
	new_node(DIRECTORY, NULL, 0);
	find(&nodes[0]);
	for (unsigned i = 0; i < steps && node_count < NODES_MAX; i++) {
		struct node *dir = random_directory(b);

		if (!dir || !visible(dir))
			continue;
		if (choose(b, 8) == 0 && dir != &nodes[0])
			mount_on(dir);
		else
			make_child(b, dir);
	}
}

/* ---- one walk in both ---- */

struct question {
	const char *path;
	unsigned flags, resolve;
	struct node *start, *root;
};

__attribute__((noreturn)) static void explain(const struct question *q, int r, int expected, struct node *want)
{
	static const char *const kinds[] = {"directory", "file", "link"};

	for (unsigned i = 0; i < node_count; i++)
		fprintf(stderr, "%u: %s of %d, mounted on %d: %s\n", i, kinds[nodes[i].kind],
			nodes[i].parent ? (int)(nodes[i].parent - nodes) : -1,
			nodes[i].covers ? (int)(nodes[i].covers - nodes) : -1, nodes[i].target);
	fprintf(stderr, "\"%s\" from %d, root %d, flags %u, resolve 0x%x: %d, and the model says %d", q->path,
		(int)(q->start - nodes), (int)(q->root - nodes), q->flags, q->resolve, r, expected);
	fprintf(stderr, expected == 0 ? ", at %d\n" : "\n", want ? (int)(want - nodes) : -1);
	abort();
}

static void compare(struct bytes *b)
{
	static const unsigned masks[] = {L_RESOLVE_BENEATH, L_RESOLVE_IN_ROOT, L_RESOLVE_NO_XDEV,
					 L_RESOLVE_NO_SYMLINKS};
	struct node *start = random_directory(b), *root = random_directory(b), *want = NULL;
	unsigned flags = choose(b, 4), resolve = 0, bits = choose(b, 32);
	struct lookup l = me;
	char path[TEXT_MAX];
	struct path got;
	int r, expected;

	if (!start || !root)
		return;
	if (bits < 16) /* else as by all calls but openat2 */
		for (unsigned i = 0; i < 4; i++)
			resolve |= bits >> i & 1 ? masks[i] : 0;
	if ((resolve & SCOPED) == SCOPED)
		resolve &= ~(unsigned)L_RESOLVE_BENEATH;
	random_text(b, path);
	expected = model_resolve(start, root, path, flags, resolve, &want);
	l.fs = fs_info_new(&root->path);
	REQUIRE(l.fs);
	fs_info_set_cwd(l.fs, &start->path);
	r = vfs_resolve(&l, L_AT_FDCWD, path, flags, resolve, &got);
	if (r != expected || (r == 0 && !path_equal(&got, &want->path)))
		explain(&(struct question){path, flags, resolve, start, root}, r, expected, want);
	if (r == 0)
		path_put(&got);
	fs_info_put(l.fs);
}

static void forget_all(void)
{
	for (unsigned i = 0; i < node_count; i++)
		path_put(&nodes[i].path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t no_groups[1];
	struct bytes b = {data, size};
	struct super_block *sb;
	struct path root;

	REQUIRE(tmpfs_create(0, 0755, 0, 0, &sb) == 0 && vfs_mount(NULL, sb, NULL, 0, "root", &root) == 0);
	me = (struct lookup){fs_info_new(&root), fdtable_new(), cred_new(0, 0, no_groups, 0)};
	build(&b);
	for (unsigned i = 0; i < 64 && b.left; i++)
		compare(&b);
	forget_all();
	fs_info_put(me.fs);
	fdtable_put(me.files);
	cred_put(me.cred);
	REQUIRE(vfs_umount(NULL, &root, UMOUNT_DETACH) == 0);
	path_put(&root);
	return 0;
}
