/*
 * sysfs, made of tmpfs's directories and of files whose text is written once, at the start.
 *
 * DIVERGES: the host's topology is not shown.  Each CPU the sandbox may use is a core of its own, all of them in one package
 * and one node, as /proc/cpuinfo says too; what the CPUs share is not the guest's to know.  Test: sysfs.
 */
#include "sentry/fs/sys/sysfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/common.h"
#include "sentry/fs/tmpfs/tmpfs.h"

/* ---- files of fixed text: i->priv, owned ---- */

static ssize_t text_read(struct file *f, struct uio *u, int64_t pos)
{
	const char *text = f->inode->priv;
	size_t size = strlen(text);

	if ((uint64_t)pos >= size)
		return 0;
	return uio_put(u, text + pos, min_of(uio_left(u), size - (uint64_t)pos));
}

static void text_release(struct inode *i)
{
	free(i->priv);
}

static const struct file_ops text_file_ops = {.read = text_read, .fsync = fs_fsync_nothing};
static const struct inode_ops text_inode_ops = {.release = text_release};

/* ---- building: the first failure is kept in error, and all that follows does nothing ---- */

struct builder {
	struct super_block *sb;
	int error;
};

/* The directory at path below the root, made as far as need be; counted, or NULL. */
static struct inode *directory(struct builder *b, const char *path)
{
	struct inode *dir = inode_get(dentry_inode(b->sb->root)), *child;
	char name[64];

	while (b->error == 0 && *path) {
		size_t len = strcspn(path, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		path += len + (path[len] == '/');
		child = NULL;
		b->error = dir->ops->lookup_inode(dir, name, &child);
		if (b->error == 0 && !child) {
			b->error = tmpfs_populate(dir, name, L_S_IFDIR | 0755, 0, NULL);
			if (b->error == 0)
				b->error = dir->ops->lookup_inode(dir, name, &child);
		}
		inode_put(dir);
		dir = child;
	}
	if (b->error == 0)
		return dir;
	if (dir)
		inode_put(dir);
	return NULL;
}

/* A file of this text (consumed; NULL: there was no memory for it). */
static void add_text(struct builder *b, const char *dir_path, const char *name, char *text)
{
	struct inode *dir, *i;

	if (!text)
		b->error = -ENOMEM;
	dir = directory(b, dir_path);
	i = dir ? inode_new(b->sb, L_S_IFREG | 0444, &text_inode_ops, &text_file_ops) : NULL;
	if (i) {
		i->priv = text;
		i->size = PAGE_SIZE; /* as Linux says of all of them */
		b->error = tmpfs_enter(dir, name, i);
		inode_put(i);
	} else {
		free(text);
		if (b->error == 0)
			b->error = -ENOMEM;
	}
	if (dir)
		inode_put(dir);
}

static void __attribute__((format(printf, 4, 5))) add(struct builder *b, const char *dir, const char *name,
						      const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	add_text(b, dir, name, text);
}

/* ---- sets of CPUs ---- */

struct cpu_set {
	bool has[HOST_CPUS_MAX];
	unsigned count, end; /* end: one past the last */
};

/* "0-2,5" */
static char *cpu_list(const struct cpu_set *s)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *comma = "";

	if (!out)
		return NULL;
	for (unsigned first = 0, last; first < s->end; first = last + 1) {
		last = first;
		if (!s->has[first])
			continue;
		while (last + 1 < s->end && s->has[last + 1])
			last++;
		fprintf(out, last > first ? "%s%u-%u" : "%s%u", comma, first, last);
		comma = ",";
	}
	fputc('\n', out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Words of 32 bits in hexadecimal, the highest first, as wide as the CPUs of the machine need. */
static char *cpu_map(const struct cpu_set *s, unsigned end)
{
	unsigned words = (end + 31) / 32, width = words > 1 ? 8 : (end + 3) / 4;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (unsigned w = words; w-- > 0;) {
		uint32_t bits = 0;

		for (unsigned n = 0; n < 32 && w * 32 + n < HOST_CPUS_MAX; n++)
			bits |= (uint32_t)s->has[w * 32 + n] << n;
		fprintf(out, "%0*x%s", (int)width, bits, w ? "," : "\n");
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Adds the same set in both forms. */
static void add_set(struct builder *b, const char *dir, const char *map, const char *list, const struct cpu_set *s,
		    unsigned end)
{
	add_text(b, dir, map, cpu_map(s, end));
	add_text(b, dir, list, cpu_list(s));
}

#define CPU_DIR "devices/system/cpu"
#define NODE_DIR "devices/system/node"

static void add_cpu(struct builder *b, unsigned cpu, const struct cpu_set *all)
{
	static const struct cpu_set empty;
	struct cpu_set self = empty;
	char dir[64];

	self.has[cpu] = true;
	self.end = cpu + 1;
	snprintf(dir, sizeof(dir), CPU_DIR "/cpu%u/topology", cpu);
	add(b, dir, "physical_package_id", "0\n");
	add(b, dir, "die_id", "0\n");
	add(b, dir, "core_id", "%u\n", cpu);
	add_set(b, dir, "core_cpus", "core_cpus_list", &self, all->end);
	add_set(b, dir, "thread_siblings", "thread_siblings_list", &self, all->end);
	add_set(b, dir, "die_cpus", "die_cpus_list", all, all->end);
	add_set(b, dir, "package_cpus", "package_cpus_list", all, all->end);
	add_set(b, dir, "core_siblings", "core_siblings_list", all, all->end);
}

static void add_all(struct builder *b)
{
	struct cpu_set all = {.count = 0};

	for (unsigned cpu = 0; cpu < HOST_CPUS_MAX; cpu++)
		if (host_cpu_usable(cpu)) {
			all.has[cpu] = true;
			all.count++;
			all.end = cpu + 1;
		}
	add_text(b, CPU_DIR, "online", cpu_list(&all));
	add_text(b, CPU_DIR, "possible", cpu_list(&all));
	add_text(b, CPU_DIR, "present", cpu_list(&all));
	add(b, CPU_DIR, "offline", "\n");
	add(b, CPU_DIR, "isolated", "\n");
	add(b, CPU_DIR, "kernel_max", "%d\n", HOST_CPUS_MAX - 1);
	for (unsigned cpu = 0; cpu < all.end; cpu++)
		if (all.has[cpu])
			add_cpu(b, cpu, &all);
	add(b, NODE_DIR, "online", "0\n");
	add(b, NODE_DIR, "possible", "0\n");
	add(b, NODE_DIR, "has_cpu", "0\n");
	add_set(b, NODE_DIR "/node0", "cpumap", "cpulist", &all, all.end);
}

int sysfs_create(struct super_block **out)
{
	struct builder b = {NULL, 0};

	b.error = tmpfs_create_as("sysfs", 0, 0755, 0, 0, &b.sb);
	if (b.error < 0)
		return b.error;
	b.sb->magic = L_SYSFS_MAGIC;
	add_all(&b);
	if (b.error < 0)
		super_put(b.sb);
	else
		*out = b.sb;
	return b.error;
}
