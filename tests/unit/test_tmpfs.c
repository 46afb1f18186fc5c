/* tmpfs: bytes and holes, names, listings under change, limits, and the move to a memfd.  Expected is what Linux does.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "abi/mman.h"
#include "base/checked.h"
#include "sentry/fs/tmpfs/pagetree.h"
#include "tests/unit/fs_world.h"

static void setup(void)
{
	struct super_block *sb;

	ck_assert_int_eq(tmpfs_create(0, 01777, 0, 0, &sb), 0);
	world_begin(sb);
}

static void setup_small(void)
{
	struct super_block *sb;

	ck_assert_int_eq(tmpfs_create(8 * PAGE_SIZE, 01777, 0, 0, &sb), 0);
	world_begin(sb);
}

/* ---- the page tree ---- */

START_TEST(tree_of_pages)
{
	static const uint64_t at[] = {0, 1, 63, 64, 4095, 4096, 1ull << 20, 1ull << 40, (1ull << 51) - 1};
	struct page_tree t = {0};
	uint64_t next = 0;

	for (size_t n = 0; n < ARRAY_SIZE(at); n++) {
		ck_assert_ptr_null(page_tree_get(&t, at[n]));
		ck_assert_ptr_nonnull(page_tree_add(&t, at[n]));
	}
	for (size_t n = 0; n < ARRAY_SIZE(at); n++) {
		ck_assert_ptr_nonnull(page_tree_get(&t, at[n]));
		ck_assert(page_tree_next(&t, &next));
		ck_assert_uint_eq(next, at[n]);
		next++;
	}
	ck_assert(!page_tree_next(&t, &next));
	ck_assert_uint_eq(page_tree_remove(&t, 2, 64), 2);
	ck_assert_ptr_null(page_tree_get(&t, 63));
	ck_assert_ptr_nonnull(page_tree_get(&t, 1));
	ck_assert_uint_eq(page_tree_remove(&t, 0, UINT64_MAX), ARRAY_SIZE(at) - 2);
	ck_assert_ptr_null(t.root);
}
END_TEST

/* ---- bytes ---- */

START_TEST(holes_and_sizes)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT);
	char buf[8] = "xxxxxxx";

	ck_assert_int_eq(put_at(f, "end", 3, 1000000), 3);
	ck_assert_uint_eq(must_stat("f").stx_size, 1000003);
	ck_assert_uint_eq(must_stat("f").stx_blocks, 8);
	ck_assert_int_eq(get_at(f, buf, 4, 5000), 4);
	ck_assert_int_eq(memcmp(buf, "\0\0\0\0", 4), 0);
	ck_assert_int_eq(get_at(f, buf, 8, 1000000), 3);
	ck_assert_int_eq(memcmp(buf, "end", 3), 0);
	ck_assert_int_eq(get_at(f, buf, 8, 1000003), 0);
	ck_assert_int_eq(file_lseek(f, 0, L_SEEK_DATA), 1000000 / 4096 * 4096);
	ck_assert_int_eq(file_lseek(f, 0, L_SEEK_HOLE), 0);
	ck_assert_int_eq(file_lseek(f, 1000001, L_SEEK_HOLE), 1000003);
	ck_assert_int_eq(file_lseek(f, 1000003, L_SEEK_DATA), -ENXIO);
	ck_assert_int_eq(file_lseek(f, -2, L_SEEK_END), 1000001);
	file_put(f);
}
END_TEST

START_TEST(truncate_zeroes_the_tail)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT);
	char buf[10];

	ck_assert_int_eq(put_at(f, "0123456789", 10, 0), 10);
	ck_assert_int_eq(vfs_ftruncate(f, 4), 0);
	ck_assert_int_eq(vfs_ftruncate(f, 10), 0);
	ck_assert_int_eq(get_at(f, buf, 10, 0), 10);
	ck_assert_int_eq(memcmp(buf, "0123\0\0\0\0\0\0", 10), 0);
	file_put(f);
}
END_TEST

START_TEST(allocate_and_punch)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT);
	char page[PAGE_SIZE], buf[PAGE_SIZE];

	memset(page, 'a', sizeof(page));
	ck_assert_int_eq(f->ops->fallocate(f, L_FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE_SIZE), 0);
	ck_assert_uint_eq(must_stat("f").stx_size, 0);
	ck_assert_uint_eq(must_stat("f").stx_blocks, 24);
	for (int n = 0; n < 3; n++)
		ck_assert_int_eq(put_at(f, page, PAGE_SIZE, n * (int64_t)PAGE_SIZE), PAGE_SIZE);
	ck_assert_int_eq(f->ops->fallocate(f, L_FALLOC_FL_PUNCH_HOLE | L_FALLOC_FL_KEEP_SIZE, 100, 2 * PAGE_SIZE), 0);
	ck_assert_uint_eq(must_stat("f").stx_blocks, 16);
	ck_assert_int_eq(get_at(f, buf, PAGE_SIZE, 0), PAGE_SIZE);
	ck_assert(buf[99] == 'a' && buf[100] == 0 && buf[PAGE_SIZE - 1] == 0);
	ck_assert_int_eq(get_at(f, buf, PAGE_SIZE, 2 * PAGE_SIZE), PAGE_SIZE);
	ck_assert(buf[99] == 0 && buf[100] == 'a');
	ck_assert_int_eq(f->ops->fallocate(f, L_FALLOC_FL_PUNCH_HOLE, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(f->ops->fallocate(f, 0, 0, 0), -EINVAL);
	file_put(f);
}
END_TEST

START_TEST(append_goes_to_the_end)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT | L_O_APPEND);
	struct uio u = uio_kernel("abc", 3);

	ck_assert_int_eq(put_at(f, "xyz", 3, 0), 3);
	ck_assert_int_eq(file_write(f, &u), 3);
	ck_assert_int_eq(f->pos, 6);
	file_put(f);
	expect_file("f", "xyzabc");
}
END_TEST

START_TEST(mapped_file_moves_to_a_memfd)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT);
	uint64_t off;
	char buf[16];
	char *map;
	int fd;

	ck_assert_int_eq(put_at(f, "before", 6, 0), 6);
	ck_assert_int_eq(put_at(f, "far", 3, 100 * PAGE_SIZE), 3);
	ck_assert_int_eq(f->ops->mmap(f, PAGE_SIZE, PAGE_SIZE, L_PROT_READ, L_MAP_SHARED, &fd, &off), 0);
	ck_assert_uint_eq(off, PAGE_SIZE);
	map = mmap(NULL, 101 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(memcmp(map, "before", 6), 0);
	ck_assert_int_eq(memcmp(map + 100 * PAGE_SIZE, "far", 3), 0);
	memcpy(map, "mapped", 6);
	ck_assert_int_eq(get_at(f, buf, 6, 0), 6);
	ck_assert_int_eq(memcmp(buf, "mapped", 6), 0);
	ck_assert_int_eq(put_at(f, "W", 1, 0), 1);
	ck_assert_int_eq(map[0], 'W');
	ck_assert_uint_eq(must_stat("f").stx_size, 100 * PAGE_SIZE + 3);
	ck_assert_uint_eq(must_stat("f").stx_blocks, 16);
	ck_assert_int_eq(file_lseek(f, PAGE_SIZE, L_SEEK_DATA), 100 * PAGE_SIZE);
	ck_assert_int_eq(vfs_ftruncate(f, 2), 0);
	ck_assert_uint_eq(must_stat("f").stx_size, 2);
	munmap(map, 101 * PAGE_SIZE);
	file_put(f);
}
END_TEST

/* ---- limits ---- */

START_TEST(full)
{
	struct file *f = must_open("f", L_O_RDWR | L_O_CREAT);
	char buf[10 * PAGE_SIZE];
	struct l_statfs st;

	memset(buf, 'x', sizeof(buf));
	ck_assert_int_eq(put_at(f, buf, sizeof(buf), 0), 8 * PAGE_SIZE);
	ck_assert_int_eq(put_at(f, buf, 1, 8 * PAGE_SIZE), -ENOSPC);
	ck_assert_int_eq(put_at(f, buf, PAGE_SIZE, 0), PAGE_SIZE);
	ck_assert_int_eq(vfs_statfs(&root, &st), 0);
	ck_assert_uint_eq(st.f_blocks, 8);
	ck_assert_uint_eq(st.f_bfree, 0);
	ck_assert_int_eq(vfs_ftruncate(f, PAGE_SIZE), 0);
	ck_assert_int_eq(f->ops->fallocate(f, 0, 0, 9 * PAGE_SIZE), -ENOSPC);
	ck_assert_int_eq(f->ops->fallocate(f, 0, 0, 8 * PAGE_SIZE), 0);
	file_put(f);
	ck_assert_int_eq(unlink_name("f"), 0);
	ck_assert_int_eq(vfs_statfs(&root, &st), 0);
	ck_assert_uint_eq(st.f_bfree, 8);
}
END_TEST

/* ---- names ---- */

START_TEST(links_and_counts)
{
	struct file *f;

	make_dir("d");
	make_dir("d/e");
	ck_assert_uint_eq(must_stat("d").stx_nlink, 3);
	write_file("d/f", "text");
	ck_assert_int_eq(hard_link("d/f", "g"), 0);
	ck_assert_uint_eq(must_stat("g").stx_nlink, 2);
	ck_assert_int_eq(rmdir_name("d"), -ENOTEMPTY);
	f = must_open("g", L_O_RDONLY);
	ck_assert_int_eq(unlink_name("d/f"), 0);
	ck_assert_int_eq(unlink_name("g"), 0);
	ck_assert_uint_eq(f->inode->nlink, 0);
	file_put(f);
	ck_assert_int_eq(rmdir_name("d/e"), 0);
	ck_assert_uint_eq(must_stat("d").stx_nlink, 2);
	ck_assert_int_eq(rmdir_name("d"), 0);
	ck_assert_int_eq(find("d"), -ENOENT);
}
END_TEST

START_TEST(renames)
{
	write_file("a", "A");
	write_file("b", "B");
	ck_assert_int_eq(move("a", "b", L_RENAME_NOREPLACE), -EEXIST);
	ck_assert_int_eq(move("a", "b", L_RENAME_EXCHANGE), 0);
	expect_file("a", "B");
	ck_assert_int_eq(move("a", "b", 0), 0);
	expect_file("b", "B");
	ck_assert_int_eq(find("a"), -ENOENT);
	make_dir("d");
	make_dir("d/sub");
	make_dir("e");
	ck_assert_int_eq(move("d/sub", "e/sub", 0), 0);
	ck_assert_uint_eq(must_stat("d").stx_nlink, 2);
	ck_assert_uint_eq(must_stat("e").stx_nlink, 3);
	ck_assert_int_eq(move("d", "e", 0), -ENOTEMPTY);
	ck_assert_int_eq(move("e", "e/sub/x", 0), -EINVAL);
	ck_assert_int_eq(move("b", "w", L_RENAME_WHITEOUT), 0);
	ck_assert_uint_eq(must_stat("b").stx_mode & L_S_IFMT, L_S_IFCHR);
	ck_assert_int_eq(move("w", "d", 0), -EISDIR);
}
END_TEST

START_TEST(unnamed_file)
{
	struct file *f;

	ck_assert_int_eq(try_open(".", L_O_TMPFILE | L_O_RDWR, 0600, &f), 0);
	ck_assert_uint_eq(f->inode->nlink, 0);
	ck_assert_int_eq(put_at(f, "t", 1, 0), 1);
	ck_assert_int_eq(find("kept"), -ENOENT);
	file_put(f);
}
END_TEST

START_TEST(xattrs)
{
	struct path p;
	char buf[64];

	write_file("f", "");
	ck_assert_int_eq(vfs_resolve(&me, L_AT_FDCWD, "f", 0, 0, &p), 0);
	ck_assert_int_eq(vfs_setxattr(&p, "user.a", "one", 3, L_XATTR_REPLACE, me.cred), -ENODATA);
	ck_assert_int_eq(vfs_setxattr(&p, "user.a", "one", 3, 0, me.cred), 0);
	ck_assert_int_eq(vfs_setxattr(&p, "user.a", "two", 3, L_XATTR_CREATE, me.cred), -EEXIST);
	ck_assert_int_eq(vfs_setxattr(&p, "trusted.b", "", 0, 0, me.cred), 0);
	ck_assert_int_eq(vfs_getxattr(&p, "user.a", buf, sizeof(buf), me.cred), 3);
	ck_assert_int_eq(vfs_getxattr(&p, "user.a", buf, 2, me.cred), -ERANGE);
	ck_assert_int_eq(vfs_getxattr(&p, "user.a", NULL, 0, me.cred), 3);
	ck_assert_int_eq(vfs_listxattr(&p, buf, sizeof(buf), me.cred), 7 + 10);
	ck_assert_int_eq(vfs_removexattr(&p, "user.a", me.cred), 0);
	ck_assert_int_eq(vfs_getxattr(&p, "user.a", buf, sizeof(buf), me.cred), -ENODATA);
	ck_assert_int_eq(vfs_getxattr(&p, "system.posix_acl_access", buf, sizeof(buf), me.cred), -EOPNOTSUPP);
	path_put(&p);
}
END_TEST

/* ---- listings ---- */

START_TEST(listing_in_pieces)
{
	char out[256];

	write_file("a", "");
	write_file("b", "");
	make_dir("c");
	list_all(".", 1, out, sizeof(out));
	ck_assert_str_eq(out, "a b c ");
	ck_assert_int_eq(unlink_name("b"), 0);
	write_file("b", "");
	list_all(".", 100, out, sizeof(out));
	ck_assert_str_eq(out, "a c b ");
}
END_TEST

/* What is removed and made while a listing is under way neither hides nor repeats anything else, nor makes it endless.
 */
START_TEST(listing_under_change)
{
	struct file *f = must_open(".", L_O_RDONLY | L_O_DIRECTORY);
	unsigned total = 0, n;
	char name[32], out[8] = "";

	for (int k = 0; k < 1000; k++) {
		snprintf(name, sizeof(name), "f%d", k);
		write_file(name, "");
	}
	list_some(f, NULL, 0, 2);
	for (int k = 0; (n = list_some(f, out, 0, 1)) > 0; k++) {
		char to[32];

		total += n;
		snprintf(name, sizeof(name), "f%d", k);
		snprintf(to, sizeof(to), "g%d", k);
		ck_assert_int_eq(move(name, to, 0), 0);
		ck_assert_uint_le(total, 1000);
	}
	ck_assert_uint_eq(total, 1000);
	file_put(f);
}
END_TEST

START_TEST(large_directory)
{
	enum { COUNT = 100000 };
	struct file *f;
	unsigned total = 0, n;
	char name[32];

	make_dir("d");
	for (int k = 0; k < COUNT; k++) {
		struct file *made;

		snprintf(name, sizeof(name), "d/%d", k);
		ck_assert_int_eq(try_open(name, L_O_CREAT | L_O_WRONLY, 0644, &made), 0);
		file_put(made);
	}
	f = must_open("d", L_O_RDONLY | L_O_DIRECTORY);
	while ((n = list_some(f, NULL, 0, 500)) > 0)
		total += n;
	ck_assert_uint_eq(total, COUNT + 2);
	file_put(f);
	for (int k = 0; k < COUNT; k++) {
		snprintf(name, sizeof(name), "d/%d", k);
		ck_assert_int_eq(unlink_name(name), 0);
	}
	ck_assert_int_eq(rmdir_name("d"), 0);
}
END_TEST

START_TEST(deep_tree_goes_away)
{
	struct path p = root;

	path_get(&p);
	for (int k = 0; k < 20000; k++) {
		struct dentry *d;

		fs_info_set_cwd(me.fs, &p);
		make_dir("d");
		ck_assert_int_eq(dentry_lookup(p.dentry, "d", 1, &d), 0);
		dentry_put(p.dentry);
		p.dentry = d;
	}
	fs_info_set_cwd(me.fs, &root);
	path_put(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tmpfs");
	TCase *t = tcase_create("files"), *small = tcase_create("limits");

	tcase_add_checked_fixture(t, setup, world_end);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, tree_of_pages);
	tcase_add_test(t, holes_and_sizes);
	tcase_add_test(t, truncate_zeroes_the_tail);
	tcase_add_test(t, allocate_and_punch);
	tcase_add_test(t, append_goes_to_the_end);
	tcase_add_test(t, mapped_file_moves_to_a_memfd);
	tcase_add_test(t, links_and_counts);
	tcase_add_test(t, renames);
	tcase_add_test(t, unnamed_file);
	tcase_add_test(t, xattrs);
	tcase_add_test(t, listing_in_pieces);
	tcase_add_test(t, listing_under_change);
	tcase_add_test(t, large_directory);
	tcase_add_test(t, deep_tree_goes_away);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(small, setup_small, world_end);
	tcase_add_test(small, full);
	suite_add_tcase(s, small);
	return run_suite(s);
}
