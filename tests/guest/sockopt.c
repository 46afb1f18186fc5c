/*
 * Options of level SOL_SOCKET on AF_UNIX sockets.  What is too much for checks is said, and has to be the same natively and inside: for
 * every number, type and length what getsockopt and setsockopt give.
 */
#include "unixsock.h"

#include <limits.h>
#include <sys/time.h>

#define LAST 86 /* of the numbers that are tried: up to 84 Linux 6.18 has options */

static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static const char *error_name(int e)
{
	const char *name = strerrorname_np(e);

	return name ? name : "?";
}

/* What differs from one socket, boot or machine to the next. */
static bool is_chance(int name)
{
	return name == 57 /* COOKIE */ || name == 71 /* NETNS_COOKIE */ || name == SO_PEERCRED || name == 55 /* MEMINFO */;
}

/* What there is no kernel configuration, interface or filter for that would be the same everywhere. */
static bool is_left_out(int name)
{
	return name == SO_BINDTODEVICE || name == 62 /* BINDTOIFINDEX */ || name == SO_BUSY_POLL || name == 69 /* PREFER_BUSY_POLL */ ||
	       name == 70 /* BUSY_POLL_BUDGET */ || name == SO_ATTACH_FILTER || name == SO_ATTACH_BPF || name == 51 || name == 52 ||
	       name == 84 /* INQ */ || name == 61 /* TXTIME */ || name == 73 /* RESERVE_MEM */ || name == 37 || name == 65 /* TIMESTAMPING */;
}

static void say_get(int fd, int name, int len)
{
	unsigned char v[128];
	socklen_t l = (socklen_t)len;
	int r;

	memset(v, 0xee, sizeof(v));
	r = getsockopt(fd, SOL_SOCKET, name, v, &l);
	printf(" %d:", len);
	if (r) {
		printf("%s", error_name(errno));
		return;
	}
	printf("%u", l);
	if (name == 77) { /* PEERPIDFD */
		for (int i = 3; i < 100; i++)
			close(i == fd ? -1 : i);
		return;
	}
	if (is_chance(name))
		return;
	putchar('=');
	for (socklen_t i = 0; i < l && i < sizeof(v); i++)
		printf("%02x", v[i]);
	CHECK_EQ(v[l < 127 ? l : 127], 0xee);
}

static void say_all(int fd, const char *what)
{
	static const int lens[] = {4, 0, 1, 3, 5, 8, 16, 100, -1};

	for (int name = 0; name <= LAST; name++) {
		if (is_left_out(name))
			continue;
		printf("%s get %d", what, name);
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			say_get(fd, name, lens[i]);
		putchar('\n');
	}
	fflush(stdout);
}

TEST(all_that_are_asked_for)
{
	static const char *const names[] = {"stream", "dgram", "seqpacket"};
	int p[2], l;

	for (int i = 0; i < 3; i++) {
		int fd = new_socket(types[i]);

		say_all(fd, names[i]);
		close(fd);
	}
	l = listener(SOCK_STREAM, abstract("l"), 1);
	say_all(l, "listener");
	close(l);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	say_all(p[0], "connected");
	close(p[0]);
	close(p[1]);
}

static void say_sets(const char *who)
{
	static const int values[] = {0, 1, 2, 6, 7, -1, 100, 4000, 100000, 1 << 30, INT_MAX, INT_MIN};
	static const int lens[] = {4, 0, 1, 3, 5, 8, 15, 16, 64, -1};

	for (int name = 0; name <= LAST; name++) {
		if (is_left_out(name) || name == 44 /* LOCK_FILTER */ || name == SO_LINGER)
			continue;
		for (int i = 0; i < 2; i++) {
			printf("%s set %d on %d:", who, name, types[i]);
			for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
				int fd = new_socket(types[i]), v[16] = {values[k], 0, 0, 0};
				bool beyond = values[k] < 0 || values[k] > 200000;

				if (beyond && (name == SO_SNDBUF || name == SO_RCVBUF)) { /* the sysctls' */
					close(fd);
					continue;
				}
				if (setsockopt(fd, SOL_SOCKET, name, v, name == SO_RCVTIMEO || name == SO_SNDTIMEO ? 16 : 4))
					printf(" %s", error_name(errno));
				else
					say_get(fd, name, 4);
				close(fd);
			}
			for (size_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
				int fd = new_socket(types[i]), v[16] = {1, 0, 0, 0};

				if (setsockopt(fd, SOL_SOCKET, name, v, (socklen_t)lens[k]))
					printf(" %s", error_name(errno));
				else
					say_get(fd, name, 16);
				close(fd);
			}
			putchar('\n');
		}
	}
	fflush(stdout);
}

TEST(all_that_are_set)
{
	pid_t pid;

	say_sets(geteuid() ? "user" : "root");
	if (geteuid())
		return;
	pid = fork();
	if (pid == 0) {
		REQUIRE(setgid(1000) == 0 && setuid(1000) == 0);
		say_sets("user");
		child_exit();
	}
	JOIN(pid);
}

TEST(bad_memory)
{
	int fd = new_socket(SOCK_STREAM), v = 1, *end;
	socklen_t len = sizeof(v);

	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)8, &len), EFAULT);
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, (void *)8), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)8, 4), EFAULT);
	CHECK_ERR(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
	CHECK_ERR(setsockopt(0, SOL_SOCKET, SO_TYPE, &v, 4), ENOTSOCK);
	CHECK_ERR(setsockopt(-1, SOL_SOCKET, SO_TYPE, &v, (socklen_t)-1), EBADF);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &v, (socklen_t)-1), EINVAL);
	CHECK_ERR(getsockopt(fd, 6, 1, &v, &len), EOPNOTSUPP);
	CHECK_ERR(setsockopt(fd, 6, 1, &v, 4), EOPNOTSUPP);
	CHECK_ERR(getsockopt(fd, 0, 1, &v, &len), EOPNOTSUPP);

	/* What is beyond an int is not looked at. */
	end = (int *)((char *)aligned_alloc(4096, 4096) + 4096);
	end[-1] = 1;
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, end - 1, 1 << 20), 0);
	CHECK_EQ(int_option(fd, SO_KEEPALIVE), 1);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (int[]){0}, INT_MAX), 0);
	CHECK_EQ(int_option(fd, SO_KEEPALIVE), 0);
	close(fd);
}

TEST(times)
{
	struct timeval tv = {3, 250000}, got;
	socklen_t len = sizeof(got);
	int fd = new_socket(SOCK_DGRAM);

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	CHECK_EQ(got.tv_sec, 3);
	CHECK(got.tv_usec >= 250000 && got.tv_usec < 270000); /* in ticks */
	tv.tv_usec = 1000000;
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), EDOM);
	tv.tv_usec = -1;
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), EDOM);
	tv = (struct timeval){-1, 0};
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	CHECK_ERR(recv(fd, &got, 1, 0), EAGAIN);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	CHECK_EQ(got.tv_sec, 0);
	CHECK_EQ(got.tv_usec, 0);
	close(fd);
}

TEST(linger)
{
	struct linger l = {1, 30}, got = {0};
	socklen_t len = sizeof(got);
	int fd = new_socket(SOCK_STREAM);

	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len), 0);
	CHECK_EQ(got.l_onoff, 1);
	CHECK_EQ(got.l_linger, 30);
	l = (struct linger){0, 7};
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &len), 0);
	CHECK_EQ(got.l_onoff, 0);
	CHECK_EQ(got.l_linger, 30);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, 7), EINVAL);
	close(fd);
}

/* Bytes that fit into a pair's buffer of that size. */
static long capacity(int type, int size)
{
	static char chunk[256];
	int s[2];
	long sum = 0;

	REQUIRE(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s) == 0);
	CHECK_EQ(set_option(s[0], SO_SNDBUF, size), 0);
	while (send(s[0], chunk, sizeof(chunk), 0) > 0)
		sum += sizeof(chunk);
	CHECK_EQ(errno, EAGAIN);
	close(s[0]);
	close(s[1]);
	return sum;
}

TEST(buffers_bind)
{
	static char big[300000];
	int s[2];

	for (int i = 0; i < 3; i++) {
		long small = capacity(types[i], 5000), large = capacity(types[i], 100000);

		CHECK(small >= 256 && small <= 10000);
		CHECK(large > 4 * small && large <= 200000);
	}
	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s) == 0);
	CHECK_EQ(set_option(s[0], SO_SNDBUF, 10000), 0);
	CHECK_EQ(int_option(s[0], SO_SNDBUF), 20000);
	CHECK_ERR(send(s[0], big, 20000 - 31, 0), EMSGSIZE);
	CHECK_EQ(send(s[0], big, 20000 - 32, 0), 20000 - 32);
	CHECK_ERR(send(s[0], big, 1, 0), EAGAIN);
	CHECK_EQ(events_of(s[0]), 0);
	CHECK_EQ(set_option(s[0], SO_SNDBUF, 100000), 0);
	CHECK_EQ(send(s[0], big, 1, 0), 1);
	CHECK_EQ(events_of(s[0]), POLLOUT);
	close(s[0]);
	close(s[1]);
}

TEST(peers_name_and_groups)
{
	struct name n = abstract("peername");
	struct sockaddr_un un;
	gid_t groups[3] = {5, 6, 7}, got[70] = {0};
	int l = listener(SOCK_STREAM, n, 1), c, a;
	socklen_t len = n.len;

	if (geteuid() == 0)
		REQUIRE(syscall(SYS_setgroups, 3, groups) == 0);
	c = connected(SOCK_STREAM, n);
	a = accept(l, NULL, NULL);
	CHECK_EQ(getsockopt(c, SOL_SOCKET, SO_PEERNAME, &un, &len), 0);
	CHECK_EQ(len, n.len);
	CHECK(memcmp(&un, &n.un, len) == 0);
	len = n.len - 2;
	CHECK_EQ(getsockopt(c, SOL_SOCKET, SO_PEERNAME, &un, &len), 0);
	len = n.len + 1;
	CHECK_ERR(getsockopt(c, SOL_SOCKET, SO_PEERNAME, &un, &len), EINVAL);
	CHECK_ERR(getsockopt(l, SOL_SOCKET, SO_PEERNAME, &un, &len), ENOTCONN);
	if (geteuid() == 0) {
		len = 4;
		CHECK_ERR(getsockopt(a, SOL_SOCKET, 59, got, &len), ERANGE);
		CHECK_EQ(len, sizeof(groups));
		len = sizeof(got);
		CHECK_EQ(getsockopt(a, SOL_SOCKET, 59, got, &len), 0);
		CHECK_EQ(len, sizeof(groups));
		CHECK(memcmp(got, groups, sizeof(groups)) == 0);
		REQUIRE(syscall(SYS_setgroups, 0, NULL) == 0);
	}
	close(a);
	close(c);
	close(l);
}
