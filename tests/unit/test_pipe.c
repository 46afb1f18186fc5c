/* Pipes and FIFOs: order, atomicity, blocking, the ends' ends, sizes, packets.  Expected is what pipe(7) and fifo(7)
 * say. */
#include <pthread.h>
#include <unistd.h>

#include "abi/poll.h"
#include "base/checked.h"
#include "tests/unit/fs_world.h"

static struct file *rd, *wr;

static void setup(void)
{
	struct super_block *sb;

	ck_assert_int_eq(tmpfs_create(0, 01777, 0, 0, &sb), 0);
	world_begin(sb);
	ck_assert_int_eq(pipe_create(L_O_NONBLOCK, me.cred, &rd, &wr), 0);
}

static void teardown(void)
{
	file_put(rd);
	file_put(wr);
	world_end();
}

static ssize_t give(struct file *f, const void *buf, size_t len)
{
	struct uio u = uio_kernel((void *)(uintptr_t)buf, len);

	return file_write(f, &u);
}

static ssize_t take(struct file *f, void *buf, size_t len)
{
	struct uio u = uio_kernel(buf, len);

	return file_read(f, &u);
}

static void blocking(struct file *f)
{
	ck_assert_int_eq(file_set_flags(f, 0, f->flags & ~(uint32_t)L_O_NONBLOCK), 0);
}

START_TEST(bytes_in_order)
{
	char buf[16];

	ck_assert_int_eq(take(rd, buf, 1), -EAGAIN);
	ck_assert_int_eq(give(wr, "hello ", 6), 6);
	ck_assert_int_eq(give(wr, "world", 5), 5);
	ck_assert_int_eq(take(rd, buf, 3), 3);
	ck_assert_int_eq(take(rd, buf + 3, 13), 8);
	ck_assert_int_eq(memcmp(buf, "hello world", 11), 0);
	ck_assert_int_eq(take(rd, buf, 1), -EAGAIN);
	ck_assert_int_eq(take(wr, buf, 1), -EBADF);
	ck_assert_int_eq(file_lseek(rd, 0, L_SEEK_SET), -ESPIPE);
	ck_assert_int_eq(get_at(rd, buf, 1, 0), -ESPIPE);
}
END_TEST

START_TEST(capacity_and_atomicity)
{
	char buf[PAGE_SIZE] = {0};
	size_t total = 0;
	ssize_t n;

	while ((n = give(wr, buf, sizeof(buf))) > 0) {
		ck_assert_int_eq(n, sizeof(buf));
		total += (size_t)n;
	}
	ck_assert_int_eq(n, -EAGAIN);
	ck_assert_uint_eq(total, 65536);
	ck_assert_uint_eq(file_poll(wr, NULL) & L_POLLOUT, 0);
	ck_assert_int_eq(take(rd, buf, 100), 100);
	ck_assert_int_eq(give(wr, buf, PAGE_SIZE), -EAGAIN); /* not in parts */
	ck_assert_int_eq(take(rd, buf, PAGE_SIZE - 100), PAGE_SIZE - 100);
	ck_assert_uint_ne(file_poll(wr, NULL) & L_POLLOUT, 0);
	ck_assert_int_eq(give(wr, buf, PAGE_SIZE), PAGE_SIZE);
}
END_TEST

START_TEST(large_writes_in_parts)
{
	static char buf[100000];

	ck_assert_int_eq(give(wr, buf, sizeof(buf)), 65536);
	ck_assert_int_eq(take(rd, buf, sizeof(buf)), 65536);
}
END_TEST

START_TEST(ends)
{
	struct file *r2, *w2;
	char c;

	ck_assert_int_eq(pipe_create(0, me.cred, &r2, &w2), 0);
	ck_assert_int_eq(give(w2, "x", 1), 1);
	file_put(w2);
	ck_assert_uint_eq(file_poll(r2, NULL), L_POLLIN | L_POLLRDNORM | L_POLLHUP);
	ck_assert_int_eq(take(r2, &c, 1), 1);
	ck_assert_int_eq(take(r2, &c, 1), 0);
	file_put(r2);

	ck_assert_int_eq(pipe_create(0, me.cred, &r2, &w2), 0);
	file_put(r2);
	ck_assert_uint_ne(file_poll(w2, NULL) & L_POLLERR, 0);
	ck_assert_int_eq(give(w2, "x", 1), -EPIPE);
	file_put(w2);
}
END_TEST

START_TEST(packets)
{
	struct file *r2, *w2;
	char buf[16];

	ck_assert_int_eq(pipe_create(L_O_DIRECT, me.cred, &r2, &w2), 0);
	ck_assert_int_eq(give(w2, "first", 5), 5);
	ck_assert_int_eq(give(w2, "second", 6), 6);
	ck_assert_int_eq(take(r2, buf, 3), 3); /* the rest is lost */
	ck_assert_int_eq(take(r2, buf, sizeof(buf)), 6);
	ck_assert_int_eq(memcmp(buf, "second", 6), 0);
	file_put(r2);
	file_put(w2);
}
END_TEST

START_TEST(sizes)
{
	char buf[PAGE_SIZE] = {0};

	ck_assert_int_eq(rd->ops->fcntl(rd, L_F_GETPIPE_SZ, 0), 65536);
	ck_assert_int_eq(rd->ops->fcntl(rd, L_F_SETPIPE_SZ, 5000), 8192);
	ck_assert_int_eq(give(wr, buf, PAGE_SIZE), PAGE_SIZE);
	ck_assert_int_eq(give(wr, buf, PAGE_SIZE), PAGE_SIZE);
	ck_assert_int_eq(give(wr, buf, 1), -EAGAIN);
	ck_assert_int_eq(rd->ops->fcntl(rd, L_F_SETPIPE_SZ, 1), -EBUSY);
	ck_assert_int_eq(rd->ops->fcntl(rd, L_F_SETPIPE_SZ, 1 << 20), 1 << 20);
	ck_assert_int_eq(give(wr, "!", 1), 1);
	ck_assert_int_eq(take(rd, buf, PAGE_SIZE), PAGE_SIZE);
	ck_assert_int_eq(take(rd, buf, PAGE_SIZE), PAGE_SIZE);
	ck_assert(buf[0] == 0 || buf[0] == '!');
}
END_TEST

/* ---- with a second thread ---- */

static void *write_much(void *arg)
{
	static char buf[300000];

	for (size_t n = 0; n < sizeof(buf); n++)
		buf[n] = (char)(n * 7);
	return (void *)(intptr_t)give(wr, buf, sizeof(buf));
}

START_TEST(blocked_writer_goes_on)
{
	pthread_t t;
	size_t total = 0;
	void *result;
	char buf[999];

	blocking(rd);
	blocking(wr);
	pthread_create(&t, NULL, write_much, NULL);
	while (total < 300000) {
		ssize_t n = take(rd, buf, sizeof(buf));

		ck_assert_int_gt(n, 0);
		for (ssize_t k = 0; k < n; k++)
			if (buf[k] != (char)((total + (size_t)k) * 7)) /* an assertion a byte takes seconds */
				ck_abort_msg("byte %zu", total + (size_t)k);
		total += (size_t)n;
	}
	pthread_join(t, &result);
	ck_assert_int_eq((intptr_t)result, 300000);
}
END_TEST

static void *read_one(void *arg)
{
	char c = 0;

	ck_assert_int_eq(take(rd, &c, 1), 1);
	return (void *)(intptr_t)c;
}

START_TEST(blocked_reader_is_woken)
{
	pthread_t t;
	void *result;

	blocking(rd);
	pthread_create(&t, NULL, read_one, NULL);
	usleep(20000);
	ck_assert_int_eq(give(wr, "k", 1), 1);
	pthread_join(t, &result);
	ck_assert_int_eq((intptr_t)result, 'k');
}
END_TEST

static void *open_fifo_to_write(void *arg)
{
	struct file *f = must_open("fifo", L_O_WRONLY);

	ck_assert_int_eq(give(f, "hi", 2), 2);
	file_put(f);
	return NULL;
}

START_TEST(fifos)
{
	struct file *f, *g;
	pthread_t t;
	char buf[4];

	ck_assert_int_eq(vfs_mknod(&me, L_AT_FDCWD, "fifo", L_S_IFIFO | 0600, 0), 0);
	ck_assert_int_eq(try_open("fifo", L_O_WRONLY | L_O_NONBLOCK, 0, &f), -ENXIO);

	pthread_create(&t, NULL, open_fifo_to_write, NULL);
	f = must_open("fifo", L_O_RDONLY); /* waits for the writer */
	ck_assert_int_eq(take(f, buf, sizeof(buf)), 2);
	pthread_join(t, NULL);
	ck_assert_int_eq(take(f, buf, sizeof(buf)), 0);
	ck_assert_uint_eq(file_poll(f, NULL), L_POLLHUP);
	file_put(f);

	f = must_open("fifo", L_O_RDONLY | L_O_NONBLOCK);
	ck_assert_uint_eq(file_poll(f, NULL), 0); /* nobody has come yet: no hang-up */
	ck_assert_int_eq(take(f, buf, 1), 0);
	g = must_open("fifo", L_O_RDWR);
	ck_assert_int_eq(take(f, buf, 1), -EAGAIN);
	ck_assert_int_eq(give(g, "z", 1), 1);
	file_put(f);
	file_put(g);
	f = must_open("fifo", L_O_RDWR | L_O_NONBLOCK);
	ck_assert_int_eq(take(f, buf, 1), -EAGAIN); /* it begins empty */
	file_put(f);
}
END_TEST

/* What opening /proc/self/fd/N does: bash's <(...) when the other side is done already. */
START_TEST(opened_again)
{
	struct file *r2, *w2, *again;
	char c;

	ck_assert_int_eq(pipe_create(0, me.cred, &r2, &w2), 0);
	ck_assert_int_eq(give(w2, "x", 1), 1);
	file_put(w2);
	ck_assert_int_eq(file_open_path(&r2->path, L_O_RDONLY, me.cred, &again), 0);
	ck_assert_int_eq(take(again, &c, 1), 1);
	ck_assert_int_eq(take(again, &c, 1), 0);
	file_put(again);
	file_put(r2);
}
END_TEST

START_TEST(interrupted)
{
	struct sleeper s;
	char c;

	blocking(rd);
	sleeper_init(&s);
	sleeper_set_self(&s);
	sleeper_interrupt(&s);
	ck_assert_int_eq(take(rd, &c, 1), -ERESTARTSYS);
	sleeper_set_self(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pipe");
	TCase *t = tcase_create("pipe");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, bytes_in_order);
	tcase_add_test(t, capacity_and_atomicity);
	tcase_add_test(t, large_writes_in_parts);
	tcase_add_test(t, ends);
	tcase_add_test(t, packets);
	tcase_add_test(t, sizes);
	tcase_add_test(t, blocked_writer_goes_on);
	tcase_add_test(t, blocked_reader_is_woken);
	tcase_add_test(t, fifos);
	tcase_add_test(t, opened_again);
	tcase_add_test(t, interrupted);
	suite_add_tcase(s, t);
	return run_suite(s);
}
