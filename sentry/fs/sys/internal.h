/* How sysfs is built: files and links added below directories that are made as they are named. */
#ifndef BAILEY_SENTRY_FS_SYS_INTERNAL_H
#define BAILEY_SENTRY_FS_SYS_INTERNAL_H

struct super_block;

/* The first failure is kept in error, and all that follows does nothing. */
struct builder {
	struct super_block *sb;
	int error;
};

/* Paths are below the root, without slashes at their ends; a directory that is not there is made. */
void sysfs_add_dir(struct builder *b, const char *path);
void sysfs_add_link(struct builder *b, const char *dir, const char *name, const char *target);
/* A file of this text (consumed; NULL: there was no memory for it), or of what is printed. */
void sysfs_add_text(struct builder *b, const char *dir, const char *name, char *text);
void sysfs_add(struct builder *b, const char *dir, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A file whose text is made at each read: allocated, or NULL without memory. */
void sysfs_add_made(struct builder *b, const char *dir, const char *name, char *(*make)(void));

void sysfs_add_cpus(struct builder *b); /* cpu.c: devices/system/cpu and node */

#endif
