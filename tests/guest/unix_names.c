/* Names of AF_UNIX sockets: paths, abstract names, names of the kernel's choice; their lengths; who finds whom by them. */
#include "unixsock.h"


static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

TEST(lengths)
{
	struct name n = at_path("sock");
	int s = new_socket(SOCK_DGRAM);

	use_tmpdir();
	CHECK_ERR(bind(s, (struct sockaddr *)&n.un, 0), EINVAL);
	CHECK_ERR(bind(s, (struct sockaddr *)&n.un, 1), EINVAL);
	CHECK_ERR(bind(s, (struct sockaddr *)&n.un, sizeof(n.un) + 1), EINVAL);
	CHECK_ERR(bind(s, (struct sockaddr *)&n.un, 1000), EINVAL);
	CHECK_ERR(bind(s, (struct sockaddr *)&n.un, -1), EINVAL);
	CHECK_ERR(bind(s, (struct sockaddr *)8, n.len), EFAULT);
	n.un.sun_family = AF_INET;
	CHECK_ERR(bind(s, NAME(n)), EINVAL);
	CHECK_ERR(connect(s, NAME(n)), EINVAL);
	CHECK_ERR(connect(s, (struct sockaddr *)&n.un, 1), EINVAL);
	n.un.sun_family = AF_UNIX;
	CHECK_ERR(connect(s, (struct sockaddr *)&n.un, 2), EINVAL);
	CHECK_ERR(bind(0x7fff, NAME(n)), EBADF);
	CHECK_ERR(bind(0, NAME(n)), ENOTSOCK);
	close(s);
}

static struct name name_of(int fd)
{
	struct name n = {.len = sizeof(n.un)};

	memset(&n.un, 0xee, sizeof(n.un));
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&n.un, &n.len), 0);
	return n;
}

/* Without a NUL, with one, and with more behind it. */
TEST(path_and_its_end)
{
	static const socklen_t extra[] = {0, 1, 20};
	struct name n, got;

	use_tmpdir();
	for (int i = 0; i < 3; i++) {
		int s = new_socket(SOCK_STREAM);

		n = at_path("four");
		memcpy(n.un.sun_path + 5, "behind the end", 14);
		n.len = PATH_AT + 4 + extra[i];
		CHECK_EQ(bind(s, NAME(n)), 0);
		got = name_of(s);
		CHECK_EQ(got.len, PATH_AT + 5);
		CHECK_STR(got.un.sun_path, "four");
		CHECK_EQ(got.un.sun_family, AF_UNIX);
		CHECK_EQ(access("four", F_OK), 0);
		close(s);
		CHECK_EQ(access("four", F_OK), 0);
		CHECK_EQ(unlink("four"), 0);
	}
}

TEST(longest_path)
{
	struct {
		struct sockaddr_un un;
		char more[8];
	} big;
	socklen_t len = sizeof(big);
	struct name n = {.un.sun_family = AF_UNIX, .len = sizeof(n.un)};
	int s, c;

	use_tmpdir();
	memset(n.un.sun_path, 'l', sizeof(n.un.sun_path));
	s = listener(SOCK_STREAM, n, 1);
	memset(&big, 0xee, sizeof(big));
	CHECK_EQ(getsockname(s, (struct sockaddr *)&big, &len), 0);
	CHECK_EQ(len, sizeof(n.un) + 1);
	CHECK(memcmp(big.un.sun_path, n.un.sun_path, sizeof(n.un.sun_path)) == 0);
	CHECK_EQ(big.more[0], 0);
	CHECK_EQ(big.more[1], (char)0xee);
	c = connected(SOCK_STREAM, n);
	close(c);
	close(s);
}

TEST(truncated_answers)
{
	struct name n = at_path("truncated"), got;
	int s;

	use_tmpdir();
	s = bound(SOCK_DGRAM, n);
	memset(&got.un, 0xee, sizeof(got.un));
	got.len = 5;
	CHECK_EQ(getsockname(s, (struct sockaddr *)&got.un, &got.len), 0);
	CHECK_EQ(got.len, PATH_AT + 10);
	CHECK(memcmp(got.un.sun_path, "tru\xee", 4) == 0);
	got.len = 0;
	CHECK_EQ(getsockname(s, NULL, &got.len), 0);
	CHECK_EQ(got.len, PATH_AT + 10);
	got.len = (socklen_t)-1;
	CHECK_ERR(getsockname(s, (struct sockaddr *)&got.un, &got.len), EINVAL);
	got.len = 20;
	CHECK_ERR(getsockname(s, NULL, &got.len), EFAULT);
	CHECK_ERR(getsockname(s, (struct sockaddr *)&got.un, NULL), EFAULT);
	CHECK_ERR(getpeername(s, (struct sockaddr *)&got.un, &got.len), ENOTCONN);
	close(s);
}

TEST(taken)
{
	struct name n = at_path("taken"), other = at_path("other"), a = abstract("taken");
	int s, t, u;

	use_tmpdir();
	s = bound(SOCK_DGRAM, n);
	t = new_socket(SOCK_STREAM);
	CHECK_ERR(bind(t, NAME(n)), EADDRINUSE);
	CHECK_ERR(bind(s, NAME(n)), EADDRINUSE);
	CHECK_ERR(bind(s, NAME(other)), EINVAL);
	CHECK_ERR(access("other", F_OK), ENOENT);
	CHECK_ERR(bind(s, NAME(a)), EINVAL);
	close(s);
	CHECK_ERR(bind(t, NAME(n)), EADDRINUSE); /* the node stays */
	CHECK_EQ(symlink("nowhere", "link"), 0);
	n = at_path("link");
	CHECK_ERR(bind(t, NAME(n)), EADDRINUSE);
	n = at_path("no/such");
	CHECK_ERR(bind(t, NAME(n)), ENOENT);
	n = at_path("taken/below");
	CHECK_ERR(bind(t, NAME(n)), ENOTDIR);
	n = at_path(".");
	CHECK_ERR(bind(t, NAME(n)), EADDRINUSE);
	n = at_path("slash/");
	CHECK_ERR(bind(t, NAME(n)), ENOENT);

	/* Of an abstract name there is one for each type. */
	CHECK_EQ(bind(t, NAME(a)), 0);
	u = new_socket(SOCK_STREAM);
	CHECK_ERR(bind(u, NAME(a)), EADDRINUSE);
	s = bound(SOCK_DGRAM, a);
	close(t);
	CHECK_EQ(bind(u, NAME(a)), 0);
	close(s);
	close(u);
}

TEST(abstract_names)
{
	struct name n = abstract("name"), longer = n, got;
	int s = bound(SOCK_DGRAM, n), c = new_socket(SOCK_DGRAM);

	got = name_of(s);
	CHECK_EQ(got.len, n.len);
	CHECK(memcmp(&got.un, &n.un, n.len) == 0);
	longer.len++; /* a NUL more is another name */
	CHECK_ERR(connect(c, NAME(longer)), ECONNREFUSED);
	longer = n;
	longer.un.sun_path[longer.len - PATH_AT - 1] = 0;
	CHECK_ERR(connect(c, NAME(longer)), ECONNREFUSED);
	CHECK_EQ(connect(c, NAME(n)), 0);
	got.len = sizeof(got.un);
	CHECK_EQ(getpeername(c, (struct sockaddr *)&got.un, &got.len), 0);
	CHECK_EQ(got.len, n.len);
	close(s);
	CHECK_ERR(send(c, "x", 1, 0), ECONNREFUSED);
	close(c);

	/* One NUL alone, and as many as there is room for. */
	memset(&n, 0, sizeof(n));
	n.un.sun_family = AF_UNIX;
	n.len = sizeof(n.un);
	snprintf(n.un.sun_path + 1, 50, "guest-%d-padded", getpid());
	s = bound(SOCK_SEQPACKET, n);
	got = name_of(s);
	CHECK_EQ(got.len, sizeof(n.un));
	close(s);
}

static bool is_own_choice(const struct name *n)
{
	if (n->len != PATH_AT + 6 || n->un.sun_path[0])
		return false;
	for (int i = 1; i < 6; i++)
		if (!strchr("0123456789abcdef", n->un.sun_path[i]))
			return false;
	return true;
}

TEST(names_of_the_kernels_choice)
{
	struct sockaddr_un none = {.sun_family = AF_UNIX};
	struct name n, first;

	for (int i = 0; i < 3; i++) {
		int s = new_socket(types[i]), t = new_socket(types[i]);

		n = name_of(s);
		CHECK_EQ(n.len, PATH_AT);
		CHECK_EQ(n.un.sun_family, AF_UNIX);
		CHECK_EQ(bind(s, (struct sockaddr *)&none, PATH_AT), 0);
		first = name_of(s);
		CHECK(is_own_choice(&first));
		CHECK_EQ(bind(s, (struct sockaddr *)&none, PATH_AT), 0); /* it has one */
		CHECK_EQ(bind(t, (struct sockaddr *)&none, PATH_AT), 0);
		n = name_of(t);
		CHECK(is_own_choice(&n));
		CHECK(memcmp(&n.un, &first.un, n.len) != 0);
		close(s);
		close(t);
	}
}

TEST(mode)
{
	struct name n = at_path("mode"), p = at_path("private");
	struct stat st;
	int s;

	use_tmpdir();
	umask(022);
	s = bound(SOCK_STREAM, n);
	CHECK_EQ(lstat("mode", &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0755);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_ERR(open("mode", O_RDWR), ENXIO);
	CHECK_EQ(fstat(s, &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0777);
	close(s);
	s = new_socket(SOCK_STREAM);
	CHECK_EQ(fchmod(s, 0640), 0);
	CHECK_EQ(bind(s, NAME(p)), 0);
	CHECK_EQ(lstat("private", &st), 0);
	CHECK_EQ(st.st_mode, S_IFSOCK | 0640);
	close(s);
}

static bool finds(int type, const char *path)
{
	struct name n = at_path(path);
	int c = new_socket(type), r = connect(c, NAME(n));

	close(c);
	return r == 0;
}

/* The node is what is bound, not its name. */
TEST(node_is_the_name)
{
	struct name n = at_path("node"), got;
	int s, t;

	use_tmpdir();
	s = listener(SOCK_STREAM, n, 20);
	CHECK_EQ(rename("node", "moved"), 0);
	CHECK(finds(SOCK_STREAM, "moved"));
	CHECK(!finds(SOCK_STREAM, "node"));
	CHECK_EQ(link("moved", "second"), 0);
	CHECK_EQ(unlink("moved"), 0);
	CHECK(finds(SOCK_STREAM, "second"));
	CHECK_EQ(symlink("second", "way"), 0);
	CHECK(finds(SOCK_STREAM, "way"));
	got = name_of(s);
	CHECK_STR(got.un.sun_path, "node");
	t = listener(SOCK_STREAM, n, 20); /* the name is free again */
	CHECK_EQ(unlink("second"), 0);
	CHECK(finds(SOCK_STREAM, "node"));
	close(s);
	CHECK(finds(SOCK_STREAM, "node"));
	close(t);
	CHECK_ERR(connect(new_socket(SOCK_STREAM), NAME(n)), ECONNREFUSED);
}

TEST(what_is_found)
{
	struct name n = at_path("found");
	int s, c = new_socket(SOCK_STREAM), d = new_socket(SOCK_DGRAM);

	use_tmpdir();
	CHECK_ERR(connect(c, NAME(n)), ENOENT);
	write_file("found", "", 0, 0666);
	CHECK_ERR(connect(c, NAME(n)), ECONNREFUSED);
	CHECK_ERR(sendto(d, "x", 1, 0, NAME(n)), ECONNREFUSED);
	CHECK_EQ(unlink("found"), 0);
	CHECK_EQ(mknod("found", S_IFSOCK | 0777, 0), 0);
	CHECK_ERR(connect(c, NAME(n)), ECONNREFUSED);
	CHECK_EQ(unlink("found"), 0);
	s = bound(SOCK_STREAM, n);
	CHECK_ERR(connect(c, NAME(n)), ECONNREFUSED); /* it does not listen */
	CHECK_ERR(connect(d, NAME(n)), EPROTOTYPE);
	CHECK_ERR(sendto(d, "x", 1, 0, NAME(n)), EPROTOTYPE);
	n = at_path("found/x");
	CHECK_ERR(connect(c, NAME(n)), ENOTDIR);
	CHECK_EQ(symlink("loop", "loop"), 0);
	n = at_path("loop");
	CHECK_ERR(connect(c, NAME(n)), ELOOP);
	close(s);
	close(c);
	close(d);
}

TEST(permissions)
{
	struct name n = at_path("guarded"), deep = at_path("closed/sock");
	int s, t;
	pid_t pid;

	if (geteuid())
		SKIP("root alone becomes somebody else");
	use_tmpdir();
	REQUIRE(chmod(".", 0755) == 0);
	s = listener(SOCK_STREAM, n, 5);
	REQUIRE(mkdir("closed", 0700) == 0);
	t = listener(SOCK_STREAM, deep, 5);
	REQUIRE(chmod("guarded", 0755) == 0);
	pid = fork();
	if (pid == 0) {
		struct name mine = at_path("mine");

		REQUIRE(setgid(1000) == 0 && setuid(1000) == 0);
		CHECK_ERR(connect(new_socket(SOCK_STREAM), NAME(n)), EACCES);
		CHECK_ERR(connect(new_socket(SOCK_STREAM), NAME(deep)), EACCES);
		CHECK_ERR(bind(new_socket(SOCK_STREAM), NAME(mine)), EACCES);
		CHECK_ERR(bind(new_socket(SOCK_STREAM), NAME(deep)), EACCES);
		child_exit();
	}
	JOIN(pid);
	REQUIRE(chmod("guarded", 0777) == 0);
	pid = fork();
	if (pid == 0) {
		REQUIRE(setgid(1000) == 0 && setuid(1000) == 0);
		CHECK_EQ(connect(new_socket(SOCK_STREAM), NAME(n)), 0);
		child_exit();
	}
	JOIN(pid);
	close(s);
	close(t);
}

/* A socket that was accepted has its listener's name, also when that is gone. */
TEST(name_of_accepted)
{
	struct name n = at_path("listener"), got;
	int s, c, a;

	use_tmpdir();
	s = listener(SOCK_SEQPACKET, n, 5);
	c = connected(SOCK_SEQPACKET, n);
	close(accept(s, NULL, NULL));
	close(c);
	c = connected(SOCK_SEQPACKET, n);
	a = accept(s, NULL, NULL);
	close(s);
	unlink("listener");
	got = name_of(a);
	CHECK_STR(got.un.sun_path, "listener");
	got.len = sizeof(got.un);
	CHECK_EQ(getpeername(c, (struct sockaddr *)&got.un, &got.len), 0);
	CHECK_STR(got.un.sun_path, "listener");
	got.len = sizeof(got.un);
	CHECK_EQ(getpeername(a, (struct sockaddr *)&got.un, &got.len), 0);
	CHECK_EQ(got.len, PATH_AT);
	n = at_path("another");
	CHECK_ERR(bind(a, NAME(n)), EINVAL);
	close(a);
	close(c);
}

/* Lines of /proc/net/unix that end with what. */
static int listed(const char *what)
{
	static char text[1 << 20];
	int count = 0;

	REQUIRE(read_file("/proc/net/unix", text, sizeof(text)) > 0);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		size_t l = strlen(line), w = strlen(what);

		count += l > w && strcmp(line + l - w, what) == 0;
	}
	return count;
}

TEST(table)
{
	struct name n = abstract("table"), p = at_path("./table-path");
	char shown[64];
	int s, t;

	use_tmpdir();
	snprintf(shown, sizeof(shown), " @guest-%d-table", getpid());
	CHECK_EQ(listed(shown), 0);
	s = listener(SOCK_STREAM, n, 5);
	CHECK_EQ(listed(shown), 1);
	t = bound(SOCK_DGRAM, p);
	CHECK_EQ(listed(" ./table-path"), 1);
	close(s);
	close(t);
	CHECK_EQ(listed(shown), 0);
	CHECK_EQ(listed(" ./table-path"), 0);
}
