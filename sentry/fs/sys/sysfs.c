/*
 * sysfs, made of tmpfs's directories and of files whose text is written once, at the start, or made at each read.  Nothing is
 * the host's.  CPUs and nodes are in cpu.c; here is the rest.
 */
#include "sentry/fs/sys/sysfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "base/log.h"
#include "sentry/fs/common.h"
#include "sentry/fs/sys/internal.h"
#include "sentry/fs/tmpfs/tmpfs.h"

/* ---- files ---- */

struct text { /* i->priv, owned */
	char *fixed; /* owned; or NULL, and: */
	char *(*make)(void);
};

static ssize_t text_read(struct file *f, struct uio *u, int64_t pos)
{
	const struct text *t = f->inode->priv;
	char *made = t->fixed ? NULL : t->make();
	const char *text = t->fixed ? t->fixed : made;
	size_t size = text ? strlen(text) : 0;
	ssize_t r = 0;

	if (!text)
		r = -ENOMEM;
	else if ((uint64_t)pos < size)
		r = uio_put(u, text + pos, min_of(uio_left(u), size - (uint64_t)pos));
	free(made);
	return r;
}

static void text_release(struct inode *i)
{
	struct text *t = i->priv;

	if (t)
		free(t->fixed);
	free(t);
}

static const struct file_ops text_file_ops = {.read = text_read, .fsync = fs_fsync_nothing};
static const struct inode_ops text_inode_ops = {.release = text_release};

/* ---- building: the first failure is kept in error, and all that follows does nothing ---- */

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

/* A file of *t, whose text is consumed. */
static void add_file(struct builder *b, const char *dir_path, const char *name, const struct text *t)
{
	struct inode *dir = directory(b, dir_path), *i = NULL;
	struct text *copy = dir ? malloc(sizeof(*copy)) : NULL;

	if (copy)
		i = inode_new(b->sb, L_S_IFREG | 0444, &text_inode_ops, &text_file_ops);
	if (i) {
		*copy = *t;
		i->priv = copy;
		i->size = PAGE_SIZE; /* as Linux says of all of them */
		b->error = tmpfs_enter(dir, name, i);
		inode_put(i);
	} else {
		free(copy);
		free(t->fixed);
		if (b->error == 0)
			b->error = -ENOMEM;
	}
	if (dir)
		inode_put(dir);
}

void sysfs_add_text(struct builder *b, const char *dir, const char *name, char *text)
{
	if (!text && b->error == 0)
		b->error = -ENOMEM;
	add_file(b, dir, name, &(struct text){.fixed = text});
}

void sysfs_add_made(struct builder *b, const char *dir, const char *name, char *(*make)(void))
{
	add_file(b, dir, name, &(struct text){.make = make});
}

void sysfs_add(struct builder *b, const char *dir, const char *name, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	sysfs_add_text(b, dir, name, text);
}

void sysfs_add_dir(struct builder *b, const char *path)
{
	struct inode *dir = directory(b, path);

	if (dir)
		inode_put(dir);
}

void sysfs_add_link(struct builder *b, const char *dir_path, const char *name, const char *target)
{
	struct inode *dir = directory(b, dir_path);

	if (!dir)
		return;
	b->error = tmpfs_populate(dir, name, L_S_IFLNK | 0777, 0, target);
	inode_put(dir);
}

/* ---- what there is besides CPUs ---- */

#define LO_DIR "devices/virtual/net/lo"

static void add_loopback(struct builder *b)
{
	static const struct {
		const char *name, *text;
	} files[] = {
		{"addr_assign_type", "0"}, {"addr_len", "6"}, {"address", "00:00:00:00:00:00"},
		{"broadcast", "00:00:00:00:00:00"}, {"carrier", "1"}, {"carrier_changes", "0"}, {"dev_id", "0x0"},
		{"dev_port", "0"}, {"dormant", "0"}, {"flags", "0x9"}, {"ifalias", ""}, {"ifindex", "1"}, {"iflink", "1"},
		{"link_mode", "0"}, {"mtu", "65536"}, {"name_assign_type", "2"}, {"netdev_group", "0"},
		{"operstate", "unknown"}, {"tx_queue_len", "1000"}, {"type", "772"}, {"uevent", "INTERFACE=lo\nIFINDEX=1"},
	};
	static const char *const counts[] = {
		"collisions", "multicast", "rx_bytes", "rx_compressed", "rx_crc_errors", "rx_dropped", "rx_errors",
		"rx_fifo_errors", "rx_frame_errors", "rx_length_errors", "rx_missed_errors", "rx_nohandler", "rx_over_errors",
		"rx_packets", "tx_aborted_errors", "tx_bytes", "tx_carrier_errors", "tx_compressed", "tx_dropped", "tx_errors",
		"tx_fifo_errors", "tx_heartbeat_errors", "tx_packets", "tx_window_errors",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		sysfs_add(b, LO_DIR, files[i].name, files[i].text[0] ? "%s\n" : "%s", files[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		sysfs_add(b, LO_DIR "/statistics", counts[i], "0\n");
	sysfs_add_link(b, "class/net", "lo", "../../" LO_DIR);
	sysfs_add_link(b, LO_DIR, "subsystem", "../../../../class/net");
}

static void add_memory(struct builder *b)
{
	static const char *const pools[] = {"free_hugepages", "nr_hugepages", "nr_hugepages_mempolicy",
					    "nr_overcommit_hugepages", "resv_hugepages", "surplus_hugepages"};
	static const char thp[] = "kernel/mm/transparent_hugepage", huge[] = "kernel/mm/hugepages/hugepages-2048kB";

	sysfs_add(b, thp, "enabled", "always [madvise] never\n");
	sysfs_add(b, thp, "defrag", "always defer defer+madvise [madvise] never\n");
	sysfs_add(b, thp, "shmem_enabled", "always within_size advise [never] deny force\n");
	sysfs_add(b, thp, "hpage_pmd_size", "2097152\n");
	sysfs_add(b, thp, "use_zero_page", "1\n");
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
		sysfs_add(b, huge, pools[i], "0\n");
}

static void add_kernel(struct builder *b)
{
	static const char *const empty[] = {"block", "bus", "class/block", "class/mem", "class/tty", "dev/block", "dev/char",
					    "firmware", "fs/cgroup", "module", "power"};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		sysfs_add_dir(b, empty[i]);
	sysfs_add(b, "kernel", "address_bits", "64\n");
	sysfs_add(b, "kernel", "cpu_byteorder", "little\n");
	sysfs_add(b, "kernel", "fscaps", "1\n");
	sysfs_add(b, "kernel", "uevent_seqnum", "0\n");
	sysfs_add(b, "devices/system/clocksource/clocksource0", "available_clocksource", "tsc\n");
	sysfs_add(b, "devices/system/clocksource/clocksource0", "current_clocksource", "tsc\n");
	add_memory(b);
	add_loopback(b);
}

static int build(struct super_block *sb)
{
	struct builder b = {sb, 0};

	sysfs_add_cpus(&b);
	add_kernel(&b);
	return b.error;
}

static int create_empty(struct super_block **out)
{
	int r = tmpfs_create_as("sysfs", 0, 0755, 0, 0, out);

	if (r < 0)
		return r;
	(*out)->magic = L_SYSFS_MAGIC;
	(*out)->flags = SB_NO_HANDLES;
	return 0;
}

int sysfs_create(struct super_block **out)
{
	int r = create_empty(out);

	if (r < 0)
		return r;
	r = build(*out);
	if (r < 0)
		super_put(*out);
	return r;
}

static void build_late(struct super_block *sb)
{
	if (build(sb) < 0)
		log_warn("sysfs: not all of it is there: out of memory");
}

int sysfs_create_lazily(struct super_block **out)
{
	int r = create_empty(out);

	if (r == 0)
		(*out)->fill = build_late;
	return r;
}
