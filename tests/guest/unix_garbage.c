/*
 * Sockets on their way in each other's queues, which nobody has open any more: they go.  The sign of that is a pipe whose other end lies
 * with them: it hangs up.  On Linux that is done by a worker, some time after a socket has been closed.
 */
#include "unixsock.h"

#include <sys/resource.h>

static struct {
	int in, out;
} pipe_;

static void pipe_start(void)
{
	int p[2];

	REQUIRE(pipe2(p, O_CLOEXEC) == 0);
	pipe_.in = p[0];
	pipe_.out = p[1];
}

/* Puts the pipe's end into a queue and has it there alone. */
static void leave_pipe(int to)
{
	CHECK_EQ(send_fds(to, &pipe_.out, 1, 0), 1);
	close(pipe_.out);
}

static bool hung_up(int wait_ms)
{
	struct pollfd p = {.fd = pipe_.in};

	return poll(&p, 1, wait_ms) == 1 && (p.revents & POLLHUP);
}

/* Sockets are closed now and then, as a busy system does. */
static void expect_gone(void)
{
	bool gone = false;

	for (int i = 0; i < 100 && !gone; i++) {
		close(new_socket(SOCK_DGRAM));
		gone = hung_up(100);
	}
	CHECK(gone);
	close(pipe_.in);
}

static void pass(int through, int what)
{
	CHECK_EQ(send_fds(through, &what, 1, 0), 1);
}

static void pair(int s[2], int type)
{
	REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, s) == 0);
}

TEST(in_its_own_queue)
{
	int s[2], before = count_fds();

	pair(s, SOCK_STREAM);
	pipe_start();
	leave_pipe(s[0]);
	pass(s[0], s[1]); /* s[1] lies in s[1] */
	pass(s[0], s[0]);
	close(s[1]); /* garbage, though its peer is not */
	close(s[0]);
	expect_gone();
	CHECK_EQ(count_fds(), before);
}

TEST(in_each_others)
{
	int a[2], b[2];

	pair(a, SOCK_DGRAM);
	pair(b, SOCK_DGRAM);
	pipe_start();
	leave_pipe(a[0]);
	pass(a[0], b[1]);
	pass(b[0], a[1]);
	close(a[0]);
	close(b[0]);
	close(a[1]);
	CHECK(!hung_up(0));
	close(b[1]);
	expect_gone();
}

/* Somebody can still get at them: not by what is closed. */
TEST(the_living_stay)
{
	int a[2], b[2], live[2];
	struct got g, h;

	pair(a, SOCK_STREAM);
	pair(b, SOCK_STREAM);
	pair(live, SOCK_STREAM);
	pipe_start();
	leave_pipe(a[0]);
	pass(a[0], b[1]);
	pass(b[0], a[1]);
	pass(live[0], a[1]);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
	for (int i = 0; i < 10; i++)
		close(new_socket(SOCK_STREAM));
	CHECK(!hung_up(50));
	g = recv_control(live[1], 4096, 0);
	REQUIRE(g.fd_count == 1);
	h = recv_control(g.fds[0], 4096, 0);
	CHECK_EQ(h.fd_count, 1);
	CHECK(!hung_up(0));
	close(h.fds[0]);
	CHECK(hung_up(0));
	/* b[1] lies in the queue that is in hand, a[1] in b[1]. */
	close(g.fds[0]);
	close(pipe_.in);
	close(live[0]);
	close(live[1]);
}

/* The last way to them was a message, which goes with its queue, or is read by who does not take its descriptors. */
TEST(way_lost)
{
	for (int how = 0; how < 3; how++) {
		int a[2], b[2], live[2];
		char c;

		pair(a, SOCK_STREAM);
		pair(b, SOCK_STREAM);
		pair(live, SOCK_STREAM);
		pipe_start();
		leave_pipe(a[0]);
		pass(a[0], b[1]);
		pass(b[0], a[1]);
		pass(live[0], a[1]);
		for (int i = 0; i < 2; i++) {
			close(a[i]);
			close(b[i]);
		}
		CHECK(!hung_up(0));
		if (how == 0)
			CHECK_EQ(read(live[1], &c, 1), 1);
		else if (how == 1)
			CHECK_EQ(recv_control(live[1], 0, 0).flags, MSG_CTRUNC);
		close(live[1]);
		close(live[0]);
		expect_gone();
	}
}

/* In what nobody has accepted yet. */
TEST(in_an_embryo)
{
	struct name n = abstract("embryo");
	int l = listener(SOCK_STREAM, n, 5), c = connected(SOCK_STREAM, n);

	pipe_start();
	leave_pipe(c);
	pass(c, l);
	close(c);
	CHECK(!hung_up(0));
	close(l);
	expect_gone();
	CHECK_ERR(connect(new_socket(SOCK_STREAM), NAME(n)), ECONNREFUSED);
}

/* Found by its name, a datagram socket is not in hand: sending there does not keep it, nor does its peer. */
TEST(named)
{
	struct name n = abstract("named");
	int s = bound(SOCK_DGRAM, n), c = new_socket(SOCK_DGRAM);

	CHECK_EQ(connect(c, NAME(n)), 0);
	pipe_start();
	leave_pipe(c);
	pass(c, s);
	close(s);
	expect_gone();
	CHECK_ERR(send(c, "x", 1, 0), ECONNREFUSED);
	close(c);
}

static long files_in_use(void)
{
	char text[64];

	REQUIRE(read_file("/proc/sys/fs/file-nr", text, sizeof(text)) > 0);
	return atol(text);
}

/* A socket that holds the next that holds the next: it ends from one end to the other, however long it is. */
static void chain(int length, bool from_the_end)
{
	int s[2], held[2];

	pair(held, SOCK_STREAM);
	pipe_start();
	if (from_the_end) {
		leave_pipe(held[0]);
		for (int i = 0; i < length; i++) {
			pair(s, SOCK_STREAM);
			pass(s[0], held[1]);
			close(held[0]);
			close(held[1]);
			memcpy(held, s, sizeof(s));
		}
		CHECK(!hung_up(0));
		close(held[0]);
		close(held[1]);
	} else {
		int first = held[1], last = held[0];

		for (int i = 0; i < length; i++) {
			pair(s, SOCK_STREAM);
			pass(last, s[1]);
			close(s[1]);
			close(last);
			last = s[0];
		}
		leave_pipe(last);
		close(last);
		CHECK(!hung_up(0));
		close(first);
	}
	expect_gone();
}

TEST(chains)
{
	long before = files_in_use();
	int fds = count_fds();

	chain(10000, true);
	chain(2000, false);
	CHECK_EQ(count_fds(), fds);
	for (int i = 0; i < 100 && files_in_use() > before + 1000; i++)
		poll(NULL, 0, 10); /* others' files come and go as well */
	CHECK(files_in_use() <= before + 1000);
}

static bool raise_limit(rlim_t to, struct rlimit *old)
{
	struct rlimit l;

	REQUIRE(getrlimit(RLIMIT_NOFILE, old) == 0);
	l = (struct rlimit){to, old->rlim_max};
	return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

TEST(too_many_on_their_way)
{
	struct rlimit old;
	pid_t pid;

	if (geteuid())
		SKIP("root alone becomes somebody who has none on their way yet");
	pid = fork();
	if (pid == 0) {
		int s[2], fds[10] = {0}, sent = 0;

		REQUIRE(setgid(4711) == 0 && setuid(4711) == 0);
		REQUIRE(raise_limit(64, &old));
		pair(s, SOCK_STREAM);
		while (send_fds(s[0], fds, 10, MSG_DONTWAIT) == 1)
			sent += 10;
		CHECK_EQ(errno, ETOOMANYREFS);
		CHECK_EQ(sent, 70);
		CHECK_ERR(send_fds(s[0], fds, 1, 0), ETOOMANYREFS);
		CHECK_EQ(send(s[0], "x", 1, 0), 1);
		CHECK_EQ(recv_control(s[1], 0, 0).n, 1); /* ten fewer */
		CHECK_EQ(send_fds(s[0], fds, 10, 0), 1);
		CHECK_ERR(send_fds(s[0], fds, 1, 0), ETOOMANYREFS);
		child_exit();
	}
	JOIN(pid);
}

/* Many, from several processes, with and without cycles: all comes to its end. */
TEST(bombs)
{
	pid_t pids[3];

	for (int k = 0; k < 3; k++) {
		pids[k] = fork();
		if (pids[k] == 0) {
			for (int i = 0; i < 300; i++) {
				int a[2], b[2], five[5];

				pair(a, i % 2 ? SOCK_STREAM : SOCK_DGRAM);
				pair(b, i % 3 ? SOCK_STREAM : SOCK_SEQPACKET);
				for (int f = 0; f < 5; f++)
					five[f] = (f % 2 ? a : b)[(f + k) % 2];
				CHECK_EQ(send_fds(a[0], five, 5, 0), 1);
				CHECK_EQ(send_fds(b[i % 2], five, 5, 0), 1);
				for (int f = 0; f < 2; f++) {
					close(a[f]);
					close(b[f]);
				}
			}
			child_exit();
		}
	}
	for (int k = 0; k < 3; k++)
		JOIN(pids[k]);
	pipe_start();
	close(pipe_.out);
	expect_gone();
}
