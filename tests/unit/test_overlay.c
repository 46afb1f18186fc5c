/* The overlay, over a host directory and over tmpfs: what is below stays as it is, what is above is what Linux would
 * show. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "tests/unit/fs_world.h"

static char host_dir[64];

static void host_write(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", host_dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void host_mkdir(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", host_dir, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

/* A tree: a (10 bytes), d/x, d/y, d/sub/z, h1 = h2, l -> a, fifo. */
static void host_tree(void)
{
	char one[256], two[256];

	strcpy(host_dir, "/tmp/bailey-overlay-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(host_dir));
	chmod(host_dir, 0755);
	host_write("a", "0123456789");
	host_mkdir("d");
	host_write("d/x", "x");
	host_write("d/y", "y");
	host_mkdir("d/sub");
	host_write("d/sub/z", "z");
	host_mkdir("e");
	host_write("h1", "hard");
	snprintf(one, sizeof(one), "%s/h1", host_dir);
	snprintf(two, sizeof(two), "%s/h2", host_dir);
	ck_assert_int_eq(link(one, two), 0);
	snprintf(two, sizeof(two), "%s/l", host_dir);
	ck_assert_int_eq(symlink("a", two), 0);
	snprintf(two, sizeof(two), "%s/fifo", host_dir);
	ck_assert_int_eq(mkfifo(two, 0644), 0);
}

static void host_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", host_dir);
	ck_assert_int_eq(system(cmd), 0);
}

/* A sum of names, kinds, sizes and bytes of the host's tree. */
static void host_sum(char out[64])
{
	char cmd[256];
	FILE *p;

	snprintf(cmd, sizeof(cmd),
		 "cd %s && { find . -printf '%%p %%y %%s %%m %%n %%l\\n' | sort; find . -type f -exec cat {} +; } | "
		 "cksum",
		 host_dir);
	p = popen(cmd, "r");
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_nonnull(fgets(out, 64, p));
	pclose(p);
}

static struct super_block *host_super(bool read_only)
{
	struct super_block *sb = NULL;
	int fd = open(host_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(hostfs_create(fd, read_only ? HOSTFS_READ_ONLY : HOSTFS_NO_LINKS, &sb), 0);
	return sb;
}

static char sum_before[64];

static void setup(void)
{
	struct super_block *sb = NULL;

	host_tree();
	host_sum(sum_before);
	ck_assert_int_eq(overlay_create(host_super(true), 0, &sb), 0);
	world_begin(sb);
}

static void teardown(void)
{
	char sum[64];

	world_end();
	host_sum(sum);
	ck_assert_str_eq(sum, sum_before);
	host_remove();
}

static void setup_host(void)
{
	host_tree();
	world_begin(host_super(false));
}

static void teardown_host(void)
{
	world_end();
	host_remove();
}

/* ---- the overlay ---- */

START_TEST(reads_through)
{
	char out[256];

	expect_file("a", "0123456789");
	expect_file("l", "0123456789");
	expect_file("d/sub/z", "z");
	ck_assert_int_eq(find("nothing"), -ENOENT);
	ck_assert_int_eq(find("a/b"), -ENOTDIR);
	ck_assert_uint_eq(must_stat("h1").stx_ino, must_stat("h2").stx_ino);
	ck_assert_uint_eq(must_stat("h1").stx_nlink, 2);
	list_all("d", 1, out, sizeof(out));
	ck_assert_uint_eq(strlen(out), strlen("x y sub "));
}
END_TEST

START_TEST(write_copies_up)
{
	struct file *reader = must_open("a", L_O_RDONLY), *f;
	struct l_statx before = must_stat("a"), after;
	char buf[16] = {0};

	f = must_open("a", L_O_RDWR);
	ck_assert_int_eq(put_at(f, "ABC", 3, 2), 3);
	file_put(f);
	expect_file("a", "01ABC56789");
	ck_assert_int_eq(get_at(reader, buf, 10, 0), 10); /* the same file as before */
	ck_assert_str_eq(buf, "01ABC56789");
	file_put(reader);
	after = must_stat("a");
	ck_assert_uint_eq(before.stx_ino, after.stx_ino);
	ck_assert_uint_eq(before.stx_dev_minor, after.stx_dev_minor);
	write_file("a", "new");
	expect_file("a", "new");
}
END_TEST

START_TEST(attributes_survive_the_cache)
{
	struct path p;

	ck_assert_int_eq(vfs_resolve(&me, L_AT_FDCWD, "d/x", 0, 0, &p), 0);
	ck_assert_int_eq(vfs_chmod(&p, 0600, me.cred), 0);
	ck_assert_int_eq(vfs_chown(&p, 7, 8, me.cred), 0);
	ck_assert_int_eq(vfs_setxattr(&p, "user.k", "v", 1, 0, me.cred), 0);
	path_put(&p);
	ck_assert_uint_eq(must_stat("d/x").stx_mode, L_S_IFREG | 0600);
	ck_assert_uint_eq(must_stat("d/x").stx_uid, 7);
	ck_assert_uint_eq(must_stat("d/x").stx_size, 1);
	expect_file("d/x", "x");
}
END_TEST

START_TEST(removal_leaves_whiteouts)
{
	char out[256];

	ck_assert_int_eq(unlink_name("d/x"), 0);
	ck_assert_int_eq(find("d/x"), -ENOENT);
	ck_assert_int_eq(unlink_name("d/x"), -ENOENT);
	list_all("d", 1, out, sizeof(out));
	ck_assert_ptr_null(strstr(out, "x "));
	ck_assert_ptr_nonnull(strstr(out, "y "));
	write_file("d/x", "again");
	expect_file("d/x", "again");
	list_all("d", 1, out, sizeof(out));
	ck_assert_ptr_nonnull(strstr(out, "x "));
	ck_assert_int_eq(rmdir_name("d"), -ENOTEMPTY);
	ck_assert_int_eq(unlink_name("d/x"), 0);
	ck_assert_int_eq(unlink_name("d/y"), 0);
	ck_assert_int_eq(unlink_name("d/sub/z"), 0);
	ck_assert_int_eq(rmdir_name("d/sub"), 0);
	ck_assert_int_eq(rmdir_name("d"), 0);
	make_dir("d");
	list_all("d", 10, out, sizeof(out));
	ck_assert_str_eq(out, ""); /* opaque */
	ck_assert_int_eq(find("d/y"), -ENOENT);
}
END_TEST

START_TEST(hard_links_stay_one_file)
{
	struct file *f = must_open("h1", L_O_WRONLY);

	ck_assert_int_eq(put_at(f, "H", 1, 0), 1);
	file_put(f);
	expect_file("h2", "Hard");
	ck_assert_int_eq(unlink_name("h1"), 0);
	ck_assert_uint_eq(must_stat("h2").stx_nlink, 1);
	expect_file("h2", "Hard");
	ck_assert_int_eq(hard_link("h2", "d/h3"), 0);
	ck_assert_uint_eq(must_stat("d/h3").stx_nlink, 2);
	ck_assert_uint_eq(must_stat("d/h3").stx_ino, must_stat("h2").stx_ino);
}
END_TEST

START_TEST(renames)
{
	char out[256];

	ck_assert_int_eq(move("d", "moved", 0), 0); /* a lower directory, with all that is in it */
	expect_file("moved/sub/z", "z");
	ck_assert_int_eq(find("d"), -ENOENT);
	ck_assert_int_eq(unlink_name("moved/x"), 0);
	list_all("moved", 1, out, sizeof(out));
	ck_assert_uint_eq(strlen(out), strlen("y sub "));
	ck_assert_int_eq(move("moved/sub", "e/sub", 0), 0);
	expect_file("e/sub/z", "z");
	ck_assert_int_eq(find("moved/sub"), -ENOENT);
	ck_assert_int_eq(move("a", "h1", 0), 0);
	expect_file("h1", "0123456789");
	ck_assert_int_eq(find("a"), -ENOENT);
	ck_assert_uint_eq(must_stat("h2").stx_nlink, 1);
	ck_assert_int_eq(move("h1", "h2", L_RENAME_EXCHANGE), 0);
	expect_file("h1", "hard");
	expect_file("h2", "0123456789");
	ck_assert_int_eq(move("moved", "e", 0), -ENOTEMPTY);
	ck_assert_int_eq(move("e", "moved", 0), -ENOTEMPTY);
}
END_TEST

START_TEST(maps_the_host_file)
{
	struct file *f = must_open("a", L_O_RDONLY);
	struct stat st, host;
	char path[256];
	uint64_t off;
	int fd;

	ck_assert_int_eq(f->ops->mmap(f, 0, PAGE_SIZE, L_PROT_READ, L_MAP_PRIVATE, &fd, &off), 0);
	snprintf(path, sizeof(path), "%s/a", host_dir);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(stat(path, &host), 0);
	ck_assert_uint_eq(st.st_ino, host.st_ino);
	file_put(f);
	f = must_open("a", L_O_RDWR);
	ck_assert_int_eq(f->ops->mmap(f, 0, PAGE_SIZE, L_PROT_READ, L_MAP_SHARED, &fd, &off), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_ne(st.st_ino, host.st_ino);
	file_put(f);
}
END_TEST

START_TEST(truncates)
{
	struct path p;

	ck_assert_int_eq(vfs_resolve(&me, L_AT_FDCWD, "a", 0, 0, &p), 0);
	ck_assert_int_eq(vfs_truncate(&p, 4, me.cred), 0);
	path_put(&p);
	expect_file("a", "0123");
}
END_TEST

/* Names that move from the lower to the upper while they are listed are never missed. */
START_TEST(listing_under_change)
{
	struct file *f = must_open("d", L_O_RDONLY | L_O_DIRECTORY);
	char out[256] = "";

	list_some(f, out, sizeof(out), 3);
	if (!strstr(out, "x "))
		ck_assert_int_eq(move("d/x", "d/x2", 0), 0);
	while (list_some(f, out, sizeof(out), 1) > 0)
		;
	ck_assert_ptr_nonnull(strstr(out, "x"));
	ck_assert_ptr_nonnull(strstr(out, "y "));
	ck_assert_ptr_nonnull(strstr(out, "sub "));
	file_put(f);
}
END_TEST

START_TEST(fifo_below_is_the_sandbox_own)
{
	struct file *f = must_open("fifo", L_O_RDWR | L_O_NONBLOCK); /* the host's would show up in its readers */

	ck_assert_uint_ne(f->mode & FILE_STREAM, 0);
	file_put(f);
}
END_TEST

START_TEST(more_directories_than_descriptors)
{
	char name[64];

	for (int k = 0; k < 600; k++) {
		struct path p;

		snprintf(name, sizeof(name), "many/%d/f", k);
		ck_assert_int_eq(vfs_resolve(&me, L_AT_FDCWD, name, 0, 0, &p), 0);
		path_put(&p);
	}
	expect_file("many/0/f", "0");
	expect_file("many/599/f", "599");
}
END_TEST

/* ---- many threads at once: nothing to be seen but what some order gives, and no lock that is never let go ---- */

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

static bool expected(int r)
{
	return r >= 0 || r == -ENOENT || r == -EEXIST || r == -ENOTEMPTY || r == -EISDIR || r == -ENOTDIR ||
	       r == -EINVAL || r == -EXDEV;
}

static void *disturb(void *arg)
{
	static const char *const names[] = {"a",  "d/x", "d/y", "d/sub/z", "h1",
					    "h2", "e/n", "d/n", "d/sub/n", "e/sub/z"};
	static const char *const dirs[] = {"d", "d/sub", "e", "e/sub", "e/d"};
	unsigned state = (unsigned)(uintptr_t)arg;

	for (int round = 0; round < 3000; round++) {
		const char *one = names[next_random(&state) % ARRAY_SIZE(names)];
		const char *two = names[next_random(&state) % ARRAY_SIZE(names)];
		const char *dir = dirs[next_random(&state) % ARRAY_SIZE(dirs)];
		const char *dir2 = dirs[next_random(&state) % ARRAY_SIZE(dirs)];
		char buf[64];
		struct file *f;
		int r = 0;

		switch (next_random(&state) % 9) {
		case 0:
			r = try_open(one, L_O_RDWR | L_O_CREAT, 0644, &f);
			if (r == 0) {
				r = (int)put_at(f, "w", 1, next_random(&state) % 5000);
				file_put(f);
			}
			break;
		case 1:
		case 2:
			r = try_open(one, L_O_RDONLY, 0, &f);
			if (r == 0) {
				r = (int)get_at(f, buf, sizeof(buf), 0);
				file_put(f);
			}
			break;
		case 3:
			r = unlink_name(one);
			break;
		case 4:
			r = move(one, two, next_random(&state) % 4 == 0 ? L_RENAME_EXCHANGE : 0);
			break;
		case 5:
			r = move(dir, dir2, 0);
			break;
		case 6:
			r = hard_link(one, two);
			break;
		case 7:
			r = next_random(&state) % 2 ? vfs_mkdir(&me, L_AT_FDCWD, dir, 0755) : rmdir_name(dir);
			break;
		default:
			r = try_open(dir, L_O_RDONLY | L_O_DIRECTORY, 0, &f);
			if (r == 0) {
				struct lister l;

				do { /* a directory that was removed has no listing */
					l = (struct lister){.dc = {.emit = take_name}, .room = 3};
					r = file_iterate(f, &l.dc);
				} while (r == 0 && l.count > 0);
				file_put(f);
			}
		}
		ck_assert_msg(expected(r), "round %d: %d", round, r);
	}
	return NULL;
}

START_TEST(many_threads)
{
	pthread_t t[4];

	for (uintptr_t n = 0; n < ARRAY_SIZE(t); n++)
		ck_assert_int_eq(pthread_create(&t[n], NULL, disturb, (void *)(n + 1)), 0);
	for (size_t n = 0; n < ARRAY_SIZE(t); n++)
		pthread_join(t[n], NULL);
}
END_TEST

static void setup_many(void)
{
	struct super_block *sb = NULL;

	host_tree();
	host_mkdir("many");
	for (int k = 0; k < 600; k++) {
		char name[64], text[16];

		snprintf(name, sizeof(name), "many/%d", k);
		host_mkdir(name);
		snprintf(name, sizeof(name), "many/%d/f", k);
		snprintf(text, sizeof(text), "%d", k);
		host_write(name, text);
	}
	host_sum(sum_before);
	ck_assert_int_eq(overlay_create(host_super(true), 0, &sb), 0);
	world_begin(sb);
}

/* ---- the host directory itself, read-write ---- */

START_TEST(host_changes)
{
	struct file *f;
	char path[256];

	write_file("new", "made inside");
	snprintf(path, sizeof(path), "%s/new", host_dir);
	ck_assert_int_eq(access(path, F_OK), 0);
	make_dir("n");
	ck_assert_int_eq(move("new", "n/new", 0), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	expect_file("n/new", "made inside");
	ck_assert_int_eq(move("n", "m", 0), 0);
	expect_file("m/new", "made inside");
	f = must_open("m/new", L_O_RDWR | L_O_APPEND);
	ck_assert_int_eq(put_at(f, "!", 1, 0), 1);
	ck_assert_int_eq(unlink_name("m/new"), 0);
	ck_assert_uint_eq(f->inode->nlink, 0);
	file_put(f);
	ck_assert_int_eq(rmdir_name("m"), 0);
	ck_assert_int_eq(hard_link("h1", "h3"), 0);
	ck_assert_int_eq(unlink_name("h1"), 0);
	expect_file("h3", "hard"); /* reached by a name that is left */
	expect_file("h2", "hard");
	ck_assert_int_eq(rmdir_name("d"), -ENOTEMPTY);
}
END_TEST

START_TEST(host_changes_outside_show)
{
	char path[256], to[256];

	expect_file("a", "0123456789");
	ck_assert_int_eq(find("later"), -ENOENT);
	host_write("later", "L");
	expect_file("later", "L");
	host_write("a", "short");
	expect_file("a", "short");
	ck_assert_uint_eq(must_stat("a").stx_size, 5);
	snprintf(path, sizeof(path), "%s/a", host_dir);
	snprintf(to, sizeof(to), "%s/b", host_dir);
	ck_assert_int_eq(rename(path, to), 0);
	ck_assert_int_eq(find("a"), -ENOENT);
	expect_file("b", "short");
}
END_TEST

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void expect_no_descriptor_of(uint64_t ino)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	struct stat st;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		ck_assert(fstat(atoi(e->d_name), &st) < 0 || st.st_ino != ino || !S_ISREG(st.st_mode));
	closedir(d);
}

/* A file that was read is kept open for its next reader; what it was is looked at again, and others than a few go. */
START_TEST(kept_descriptors)
{
	char name[64], path[256], to[256];
	uint64_t ino;
	int before;

	expect_file("a", "0123456789");
	before = open_descriptors();
	expect_file("a", "0123456789");
	ck_assert_int_eq(open_descriptors(), before);
	for (int k = 0; k < 100; k++) {
		snprintf(name, sizeof(name), "d/n%d", k);
		host_write(name, name);
	}
	for (int k = 0; k < 200; k++) {
		snprintf(name, sizeof(name), "d/n%d", k % 100);
		expect_file(name, name);
	}
	ck_assert_int_lt(open_descriptors(), before + 40);

	/* Changed, replaced, gone, shut, and here removed: each is seen at the next open. */
	expect_file("a", "0123456789");
	host_write("a", "changed");
	expect_file("a", "changed");
	host_write("new", "another");
	snprintf(path, sizeof(path), "%s/new", host_dir);
	snprintf(to, sizeof(to), "%s/a", host_dir);
	ck_assert_int_eq(rename(path, to), 0);
	expect_file("a", "another");
	ck_assert_int_eq(chmod(to, 0200), 0);
	ck_assert_int_eq(must_stat("a").stx_mode & 0777, 0200);
	ck_assert_int_eq(chmod(to, 0644), 0);
	expect_file("a", "another");
	ck_assert_int_eq(unlink(to), 0);
	ck_assert_int_eq(find("a"), -ENOENT);
	expect_file("d/x", "x");
	ino = must_stat("d/x").stx_ino;
	ck_assert_int_eq(unlink_name("d/x"), 0);
	expect_no_descriptor_of(ino);
}
END_TEST

/* No link is followed by the host, and no FIFO is opened there. */
START_TEST(host_traps)
{
	char path[256];
	struct file *f;

	snprintf(path, sizeof(path), "%s/escape", host_dir);
	ck_assert_int_eq(symlink("/etc", path), 0);
	ck_assert_int_eq(find("escape/passwd"), -ENOENT); /* /etc of this tree, which has none */
	ck_assert_int_eq(try_open("fifo", L_O_RDONLY, 0, &f), -ENXIO);
	ck_assert_int_eq(try_open("fifo", L_O_WRONLY, 0, &f), -ENXIO);
	expect_file("d/x", "x");
	snprintf(path, sizeof(path), "rm -r %s/d && ln -s /etc %s/d", host_dir, host_dir);
	ck_assert_int_eq(system(path), 0);
	ck_assert_int_lt(find("d/hostname"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("overlay");
	TCase *t = tcase_create("overlay"), *many = tcase_create("many"), *host = tcase_create("hostfs");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, reads_through);
	tcase_add_test(t, write_copies_up);
	tcase_add_test(t, attributes_survive_the_cache);
	tcase_add_test(t, removal_leaves_whiteouts);
	tcase_add_test(t, hard_links_stay_one_file);
	tcase_add_test(t, renames);
	tcase_add_test(t, maps_the_host_file);
	tcase_add_test(t, truncates);
	tcase_add_test(t, listing_under_change);
	tcase_add_test(t, fifo_below_is_the_sandbox_own);
	tcase_add_test(t, many_threads);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(many, setup_many, teardown);
	tcase_set_timeout(many, 60);
	tcase_add_test(many, more_directories_than_descriptors);
	suite_add_tcase(s, many);
	tcase_add_checked_fixture(host, setup_host, teardown_host);
	tcase_add_test(host, host_changes);
	tcase_add_test(host, host_changes_outside_show);
	tcase_add_test(host, kept_descriptors);
	tcase_add_test(host, host_traps);
	tcase_add_test(host, many_threads);
	tcase_set_timeout(host, 60);
	suite_add_tcase(s, host);
	return run_suite(s);
}
