/*
 * procfs over a process that the test makes by hand: no guest, no memory.  What a guest sees of itself is in
 * tests/guest/procfs.c; here are numbers, listings, other processes, and ends.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/fs/proc/proc.h"
#include "sentry/task/pidns.h"
#include "sentry/task/internal.h"
#include "sentry/vfs/mount.h"

static struct path root;
static struct task *self, *other;
static char text[65536];

static struct task *make_task(uint32_t uid, const char *comm)
{
	struct process *p = process_new();
	struct task *t = task_new(p);

	ck_assert(p && t);
	p->session = session_new(1);
	t->cred = cred_new(uid, uid, NULL, 0);
	t->fs = fs_info_new(&root);
	t->files = fdtable_new();
	strcpy(t->comm, comm);
	mutex_lock(&tasks_lock);
	ck_assert_int_eq(tid_assign(t), 0);
	p->pid = p->pgid = t->tid;
	p->thread_count = 1;
	list_add_tail(&t->thread_node, &p->threads);
	mutex_unlock(&tasks_lock);
	return t;
}

static void setup(void)
{
	struct super_block *sb;

	ck_assert_int_eq(procfs_create(pid_ns_of(pid_ns_first()), &sb), 0);
	ck_assert_int_eq(vfs_mount(NULL, sb, NULL, 0, "proc", &root), 0);
	self = make_task(0, "self (1) x");
	other = make_task(1000, "other");
	task_set_current(self);
}

static int open_as(struct task *t, const char *path, uint32_t flags, struct file **out)
{
	struct lookup l = task_lookup(t);

	return vfs_open(&l, L_AT_FDCWD, path, flags, 0, 0, out);
}

/* The file's text, or "" and the error in *err. */
static const char *read_text(const char *path, int *err)
{
	struct file *f;
	ssize_t n = open_as(self, path, L_O_RDONLY, &f);

	text[0] = '\0';
	if (n == 0) {
		n = vfs_read_kernel(f, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		file_put(f);
	}
	*err = n < 0 ? (int)n : 0;
	return text;
}

static const char *must_read(const char *path)
{
	int err;
	const char *s = read_text(path, &err);

	ck_assert_msg(err == 0, "%s: %s", path, abi_errno_name(-err));
	return s;
}

static int resolve_error(struct task *t, const char *path)
{
	struct lookup l = task_lookup(t);
	struct path p;
	int r = vfs_resolve(&l, L_AT_FDCWD, path, LOOKUP_FOLLOW, 0, &p);

	if (r == 0)
		path_put(&p);
	return r;
}

START_TEST(numbers_name_processes)
{
	char path[64];

	ck_assert_int_eq(resolve_error(self, "/1/stat"), 0);
	ck_assert_int_eq(resolve_error(self, "/2/status"), 0);
	ck_assert_int_eq(resolve_error(self, "/3"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/0"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/01"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/-1"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/+1"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/1x"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/4294967297"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/99999999999999999999"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/1/task/1/stat"), 0);
	ck_assert_int_eq(resolve_error(self, "/1/task/2"), -ENOENT);
	ck_assert_int_eq(resolve_error(self, "/1/task/1/task"), -ENOENT);
	snprintf(path, sizeof(path), "/self/task/%d/comm", self->tid);
	ck_assert_str_eq(must_read(path), "self (1) x\n");
	ck_assert_str_eq(must_read("/thread-self/comm"), "self (1) x\n");
}
END_TEST

struct listing {
	struct dir_context dc;
	char names[4096];
	int left; /* entries until the buffer is "full" */
};

static bool emit(struct dir_context *dc, const char *name, size_t len, uint64_t ino, unsigned type, int64_t next_pos)
{
	struct listing *l = container_of(dc, struct listing, dc);

	if (l->left-- <= 0)
		return false;
	ck_assert_uint_ne(ino, 0);
	snprintf(l->names + strlen(l->names), sizeof(l->names) - strlen(l->names), "%.*s%s ", (int)len, name,
		 type == 4 ? "/" : "");
	return true;
}

static const char *list(const char *path, int at_a_time)
{
	static struct listing l;
	struct file *f;
	size_t before;

	l = (struct listing){.dc = {.emit = emit}};
	ck_assert_int_eq(open_as(self, path, L_O_RDONLY | L_O_DIRECTORY, &f), 0);
	do {
		before = strlen(l.names);
		l.left = at_a_time;
		ck_assert_int_eq(file_iterate(f, &l.dc), 0);
	} while (strlen(l.names) != before);
	file_put(f);
	return l.names;
}

START_TEST(listings_are_whole_whatever_the_buffer)
{
	char *whole = strdup(list("/", 1000));

	ck_assert(strstr(whole, "./ ../ "));
	ck_assert(strstr(whole, " cpuinfo "));
	ck_assert(strstr(whole, " self "));
	ck_assert(strstr(whole, " 1/ 2/ "));
	ck_assert_str_eq(list("/", 1), whole);
	ck_assert_str_eq(list("/", 3), whole);
	free(whole);
	ck_assert_str_eq(list("/1/task", 1), "./ ../ 1/ ");
	ck_assert_str_eq(list("/1/fd", 1), "./ ../ ");
	ck_assert(strstr(list("/1", 2), " task/ "));
	ck_assert(!strstr(list("/1/task/1", 2), " task/ "));
}
END_TEST

START_TEST(descriptors_are_listed_and_followed)
{
	struct path target;
	struct lookup l = task_lookup(self);
	struct file *f, *again;

	ck_assert_int_eq(open_as(self, "/version", L_O_RDONLY, &f), 0);
	ck_assert_int_eq(fd_install(self->files, f, 5, 64, true), 5);
	ck_assert_str_eq(list("/self/fd", 1), "./ ../ 5 ");
	ck_assert_int_eq(vfs_resolve(&l, L_AT_FDCWD, "/self/fd/5", LOOKUP_FOLLOW, 0, &target), 0);
	ck_assert(path_equal(&target, &f->path));
	path_put(&target);
	ck_assert_int_eq(open_as(self, "/self/fd/5", L_O_RDONLY, &again), 0);
	file_put(again);
	ck_assert_int_eq(resolve_error(self, "/self/fd/6"), -ENOENT);
	ck_assert(strstr(must_read("/self/fdinfo/5"), "pos:\t0\nflags:\t02000000\nmnt_id:\t"));
	ck_assert_int_eq(fd_close(self->files, 5), 0);
	ck_assert_int_eq(resolve_error(self, "/self/fd/5"), -ENOENT);
}
END_TEST

START_TEST(stat_has_its_52_fields)
{
	char *p, *save = NULL;
	int fields = 0;

	must_read("/1/stat");
	ck_assert_int_eq(strncmp(text, "1 (self (1) x) R 0 1 1 ", 23), 0);
	p = strrchr(text, ')') + 2;
	for (p = strtok_r(p, " \n", &save); p; p = strtok_r(NULL, " \n", &save))
		fields++;
	ck_assert_int_eq(fields, 50);
	other->process->zombie = true;
	other->state = 'Z';
	ck_assert_int_eq(strncmp(must_read("/2/stat"), "2 (other) Z ", 12), 0);
	ck_assert(strstr(must_read("/2/status"), "\nState:\tZ (zombie)\n"));
	ck_assert_str_eq(must_read("/2/cmdline"), "");
}
END_TEST

START_TEST(what_is_guarded_is_refused)
{
	struct file *f;
	int err;

	/* An ordinary user looks at root's process, then at its own. */
	task_set_current(other);
	ck_assert_int_eq(open_as(other, "/1/maps", L_O_RDONLY, &f), -EACCES);
	ck_assert_int_eq(open_as(other, "/1/environ", L_O_RDONLY, &f), -EACCES);
	ck_assert_int_eq(resolve_error(other, "/1/cwd"), -EACCES);
	ck_assert_int_eq(resolve_error(other, "/1/fd/0"), -EACCES);
	ck_assert_int_eq(open_as(other, "/1/stat", L_O_RDONLY, &f), 0);
	file_put(f);
	ck_assert_int_eq(open_as(other, "/self/maps", L_O_RDONLY, &f), 0);
	file_put(f);
	task_set_current(self);
	read_text("/2/maps", &err);
	ck_assert_int_eq(err, 0);
}
END_TEST

START_TEST(a_process_that_ends_takes_its_files_along)
{
	struct file *f;
	char c;

	ck_assert_int_eq(open_as(self, "/2/stat", L_O_RDONLY, &f), 0);
	mutex_lock(&tasks_lock);
	list_del_init(&other->thread_node);
	tid_release(other);
	mutex_unlock(&tasks_lock);
	ck_assert_int_eq(vfs_read_kernel(f, &c, 1, 0), -ESRCH);
	file_put(f);
	ck_assert_int_eq(resolve_error(self, "/2"), -ENOENT);
	ck_assert(!strstr(list("/", 10), " 2/"));
}
END_TEST

static ssize_t write_text(const char *path, const char *s)
{
	struct uio u = uio_kernel((void *)(uintptr_t)s, strlen(s));
	struct file *f;
	ssize_t r = open_as(self, path, L_O_WRONLY | L_O_TRUNC, &f);

	if (r < 0)
		return r;
	r = file_write(f, &u);
	file_put(f);
	return r;
}

START_TEST(writes)
{
	ck_assert_int_eq(write_text("/self/oom_score_adj", "500\n"), 4);
	ck_assert_str_eq(must_read("/self/oom_score_adj"), "500\n");
	ck_assert_int_eq(write_text("/self/oom_score_adj", "1001"), -EINVAL);
	ck_assert_int_eq(write_text("/self/oom_score_adj", "x"), -EINVAL);
	ck_assert_int_eq(write_text("/self/comm", "a name that is too long"), 23);
	ck_assert_str_eq(must_read("/self/comm"), "a name that is \n");
	ck_assert_int_eq(write_text("/2/comm", "theirs"), -EINVAL);
	ck_assert_int_lt(write_text("/version", "x"), 0);
}
END_TEST

/* Every file that is listed below a directory can be read, or says why not. */
static void read_all_below(const char *dir)
{
	char *names = strdup(list(dir, 1000)), *save = NULL, path[256];

	for (char *n = strtok_r(names, " ", &save); n; n = strtok_r(NULL, " ", &save)) {
		int err;

		if (!strcmp(n, "./") || !strcmp(n, "../"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, n);
		if (n[strlen(n) - 1] == '/') {
			path[strlen(path) - 1] = '\0';
			if (strcmp(n, "1/") || !strstr(dir, "/1"))
				read_all_below(path);
			continue;
		}
		if (strstr(dir, "/ns") || strstr(dir, "/attr") || !strcmp(n, "stack") || !strcmp(n, "clear_refs") ||
		    !strcmp(n, "drop_caches") || !strcmp(n, "pagemap"))
			continue; /* not for reading, not to be read by anybody, or no text */
		read_text(path, &err);
		ck_assert_msg(err == 0 || err == -ENOENT || err == -EISDIR || err == -ESRCH, "%s: %s", path, abi_errno_name(-err));
	}
	free(names);
}

START_TEST(everything_listed_can_be_read)
{
	read_all_below("/.");
	ck_assert_str_eq(must_read("/sys/kernel/ostype"), "Linux\n");
	ck_assert_uint_eq(strlen(must_read("/sys/kernel/random/uuid")), 37);
	ck_assert(strstr(must_read("/cpuinfo"), "processor\t: 0\nvendor_id\t: "));
	ck_assert(strstr(must_read("/cpuinfo"), " sse2 "));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("procfs");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, numbers_name_processes);
	tcase_add_test(tc, listings_are_whole_whatever_the_buffer);
	tcase_add_test(tc, descriptors_are_listed_and_followed);
	tcase_add_test(tc, stat_has_its_52_fields);
	tcase_add_test(tc, what_is_guarded_is_refused);
	tcase_add_test(tc, a_process_that_ends_takes_its_files_along);
	tcase_add_test(tc, writes);
	tcase_add_test(tc, everything_listed_can_be_read);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
