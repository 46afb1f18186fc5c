/* Credentials and execve(2): set-id programs, file capabilities, ambient ones, securebits, no_new_privs. */
#include "harness.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

#define USER 4711
#define GROUP 4712
#define BIT(cap) (1ull << (cap))

struct id {
	uid_t uid[3];
	gid_t gid[3];
	uint64_t inheritable, permitted, effective, bounding, ambient;
	int secure, dumpable, securebits, pdeathsig, personality, fsuid;
};

static uint64_t status_caps(const char *name)
{
	static char text[8192];
	char *p;

	if (read_file("/proc/self/status", text, sizeof(text)) < 0)
		return ~0ull;
	p = strstr(text, name);
	return p ? strtoull(p + strlen(name), NULL, 16) : ~0ull;
}

static void describe(struct id *me)
{
	memset(me, 0, sizeof(*me));
	getresuid(&me->uid[0], &me->uid[1], &me->uid[2]);
	getresgid(&me->gid[0], &me->gid[1], &me->gid[2]);
	me->dumpable = prctl(PR_GET_DUMPABLE);
	me->inheritable = status_caps("CapInh:\t");
	me->permitted = status_caps("CapPrm:\t");
	me->effective = status_caps("CapEff:\t");
	me->bounding = status_caps("CapBnd:\t");
	me->ambient = status_caps("CapAmb:\t");
	me->secure = (int)getauxval(AT_SECURE);
	me->securebits = prctl(PR_GET_SECUREBITS);
	prctl(PR_GET_PDEATHSIG, &me->pdeathsig);
	me->personality = personality(0xffffffff);
	me->fsuid = setfsuid((uid_t)-1);
}

/* Tells by descriptor 9 what it has become. */
ROLE(argc, argv)
{
	struct id me;

	(void)argc;
	(void)argv;
	describe(&me);
	return write(9, &me, sizeof(me)) == (ssize_t)sizeof(me) ? 0 : 1;
}

/* What program becomes when a child that setup has prepared runs it; -errno of execve, or 0. */
static int run(const char *program, void (*setup)(void), struct id *out)
{
	int p[2], status;
	pid_t pid;

	REQUIRE(pipe(p) == 0);
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(dup2(p[1], 9) == 9);
		close(p[0]);
		close(p[1]);
		if (setup)
			setup();
		if (h_failures)
			child_exit();
		execl(program, program, "@id", NULL);
		_exit(100 + errno);
	}
	close(p[1]);
	memset(out, 0xff, sizeof(*out));
	if (read(p[0], out, sizeof(*out)) < 0)
		H_FAIL("read: errno %d\n", errno);
	close(p[0]);
	status = h_wait(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) > 100)
		return 100 - WEXITSTATUS(status);
	CHECK_EQ(status, 0);
	return 0;
}

static void become_user(void)
{
	REQUIRE(setgroups(0, NULL) == 0);
	REQUIRE(setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(USER, USER, USER) == 0);
}

/* A copy of this program with that owner and mode. */
static void install(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	static char data[4 << 20];
	int fd = open(h_self, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	REQUIRE(fd >= 0);
	n = read(fd, data, sizeof(data));
	close(fd);
	REQUIRE(n > 0 && (size_t)n < sizeof(data));
	unlink(name);
	write_file(name, data, (size_t)n, 0700);
	REQUIRE(chown(name, uid, gid) == 0 && chmod(name, mode) == 0);
}

static void set_file_caps(const char *name, uint64_t permitted, uint64_t inheritable, bool effective)
{
	uint32_t v[5] = {0x02000000u | effective, (uint32_t)permitted, (uint32_t)inheritable, (uint32_t)(permitted >> 32),
			 (uint32_t)(inheritable >> 32)};

	REQUIRE(setxattr(name, "security.capability", v, sizeof(v), 0) == 0);
}

/* Goes to a directory that everybody may enter, where no mount forbids such programs; false where nothing of this can be tried. */
static bool prepare(void)
{
	if (getuid() != 0 || !(status_caps("CapEff:\t") & BIT(CAP_SETFCAP)))
		return false;
	if (!h_dir[0]) {
		strcpy(h_dir, "/var/tmp/guest.XXXXXX");
		REQUIRE(mkdtemp(h_dir));
		h_dir_owner = getpid();
		atexit(h_cleanup);
	}
	use_tmpdir();
	return chmod(h_dir, 0755) == 0;
}

TEST(set_user_id)
{
	struct id r;

	if (!prepare())
		SKIP("needs root");
	install("suid", 1234, 0, 04755);
	CHECK_EQ(run("./suid", become_user, &r), 0);
	CHECK(r.uid[0] == USER && r.uid[1] == 1234 && r.uid[2] == 1234 && r.fsuid == 1234);
	CHECK(r.secure && !r.dumpable);
	CHECK_EQ(r.permitted, 0);

	install("suid", 0, 0, 04755);
	CHECK_EQ(run("./suid", become_user, &r), 0);
	CHECK(r.uid[0] == USER && r.uid[1] == 0 && r.secure);
	CHECK_EQ(r.permitted, r.bounding);
	CHECK_EQ(r.effective, r.bounding);

	install("sgid", 0, 1235, 02755);
	CHECK_EQ(run("./sgid", become_user, &r), 0);
	CHECK(r.gid[0] == GROUP && r.gid[1] == 1235 && r.gid[2] == 1235 && r.secure);
	install("sgid", 0, 1235, 02705); /* a lock of old, and no right */
	CHECK_EQ(run("./sgid", become_user, &r), 0);
	CHECK(r.gid[1] == GROUP && !r.secure && r.dumpable);

	/* A script has no such rights. */
	write_file("script", "#!./plain @id\n", 14, 0755);
	install("plain", 0, 0, 0755);
	REQUIRE(chown("script", 1234, 0) == 0 && chmod("script", 04755) == 0);
	CHECK_EQ(run("./script", become_user, &r), 0);
	CHECK(r.uid[1] == USER && !r.secure);
}

static void without_new_privs(void)
{
	become_user();
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void root_without_caps(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	memset(d, 0, sizeof(d));
	d[0].permitted = d[0].effective = BIT(CAP_CHOWN);
	REQUIRE(syscall(SYS_capset, &h, d) == 0);
}

static void root_without_caps_and_new_privs(void)
{
	root_without_caps();
	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

TEST(no_new_privs)
{
	struct id r;

	if (!prepare())
		SKIP("needs root");
	install("suid", 0, 0, 04755);
	CHECK_EQ(run("./suid", without_new_privs, &r), 0);
	CHECK(r.uid[1] == USER && !r.secure);
	install("caps", 0, 0, 0755);
	set_file_caps("caps", BIT(CAP_NET_RAW), 0, true);
	CHECK_EQ(run("./caps", without_new_privs, &r), 0);
	CHECK_EQ(r.permitted, 0);
	/* Root has all again by execve, but not so. */
	CHECK_EQ(run("./caps", root_without_caps, &r), 0);
	CHECK_EQ(r.permitted, r.bounding);
	CHECK_EQ(run("./suid", root_without_caps_and_new_privs, &r), 0);
	CHECK_EQ(r.permitted, BIT(CAP_CHOWN));
}

static void without_net_raw(void)
{
	REQUIRE(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) == 0);
	become_user();
}

TEST(file_capabilities)
{
	struct id r;
	char c;

	if (!prepare())
		SKIP("needs root");
	install("caps", 0, 0, 0755);
	set_file_caps("caps", BIT(CAP_NET_RAW) | BIT(CAP_SYSLOG), 0, true);
	CHECK_EQ(run("./caps", become_user, &r), 0);
	CHECK_EQ(r.permitted, BIT(CAP_NET_RAW) | BIT(CAP_SYSLOG));
	CHECK_EQ(r.effective, r.permitted);
	CHECK(r.secure && !r.dumpable && r.uid[1] == USER);
	CHECK_EQ(run("./caps", without_net_raw, &r), -EPERM); /* all or nothing */
	set_file_caps("caps", BIT(CAP_NET_RAW) | BIT(CAP_SYSLOG), 0, false);
	CHECK_EQ(run("./caps", without_net_raw, &r), 0);
	CHECK_EQ(r.permitted, BIT(CAP_SYSLOG));
	CHECK_EQ(r.effective, 0);

	/* Whoever writes to the file, or gives it away, takes them. */
	int fd = open("caps", O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0 && pread(fd, &c, 1, 0) == 1);
	CHECK(getxattr("caps", "security.capability", NULL, 0) > 0);
	CHECK_EQ(pwrite(fd, &c, 1, 0), 1);
	close(fd);
	CHECK_ERR(getxattr("caps", "security.capability", NULL, 0), ENODATA);
	set_file_caps("caps", BIT(CAP_NET_RAW), 0, true);
	OK(chown("caps", 1, 1));
	CHECK_ERR(getxattr("caps", "security.capability", NULL, 0), ENODATA);
}

static void ambient_user(void)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];

	REQUIRE(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	become_user();
	REQUIRE(syscall(SYS_capget, &h, d) == 0);
	d[0].inheritable = d[0].permitted;
	REQUIRE(syscall(SYS_capset, &h, d) == 0);
	REQUIRE(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
}

TEST(ambient)
{
	struct id r;

	if (!prepare())
		SKIP("needs root");
	install("plain", 0, 0, 0755);
	CHECK_EQ(run("./plain", ambient_user, &r), 0);
	CHECK_EQ(r.ambient, BIT(CAP_NET_RAW));
	CHECK_EQ(r.permitted, BIT(CAP_NET_RAW));
	CHECK_EQ(r.effective, BIT(CAP_NET_RAW));
	CHECK(!r.secure && !(r.securebits & SECBIT_KEEP_CAPS));
	install("suid", 1234, 0, 04755);
	CHECK_EQ(run("./suid", ambient_user, &r), 0);
	CHECK_EQ(r.ambient, 0);
	CHECK_EQ(r.permitted, 0);
	CHECK(r.inheritable & BIT(CAP_NET_RAW));
}

static void no_root(void)
{
	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) == 0);
}

TEST(securebits)
{
	struct id r;
	pid_t pid;

	if (!prepare())
		SKIP("needs root");
	install("plain", 0, 0, 0755);
	CHECK_EQ(run("./plain", no_root, &r), 0);
	CHECK(r.uid[1] == 0 && r.permitted == 0 && r.effective == 0);
	CHECK_EQ(r.securebits, SECBIT_NOROOT);

	pid = h_fork();
	if (pid == 0) {
		CHECK_ERR(prctl(PR_SET_SECUREBITS, 1 << 12), EPERM);
		OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
		CHECK_ERR(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT), EPERM);
		CHECK_ERR(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED), EPERM);
		OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED));
		CHECK_ERR(prctl(PR_SET_KEEPCAPS, 1), EPERM);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE));
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
		become_user();
		CHECK_ERR(prctl(PR_SET_SECUREBITS, 0), EPERM);
		child_exit();
	}
	JOIN(pid);
	pid = h_fork();
	if (pid == 0) {
		OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
		REQUIRE(setresuid(USER, USER, USER) == 0);
		CHECK(status_caps("CapEff:\t") & BIT(CAP_CHOWN));
		child_exit();
	}
	JOIN(pid);
}

/* Capabilities that concern files follow the file system id. */
TEST(fs_id)
{
	uint64_t fs = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD), before;
	pid_t pid;

	if (!prepare())
		SKIP("needs root");
	pid = h_fork();
	if (pid == 0) {
		before = status_caps("CapEff:\t");
		CHECK_EQ(setfsuid(USER), 0);
		CHECK_EQ(status_caps("CapEff:\t") & fs, 0);
		CHECK(status_caps("CapEff:\t") & BIT(CAP_KILL));
		CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
		CHECK_EQ(setfsuid(0), USER);
		CHECK_EQ(status_caps("CapEff:\t"), before);
		child_exit();
	}
	JOIN(pid);
}

static void with_death_signal(void)
{
	become_user();
	REQUIRE(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	REQUIRE(personality(ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC | STICKY_TIMEOUTS) >= 0);
}

/* What a program that gains something does not inherit. */
TEST(what_goes)
{
	struct id r;
	int sig = 77;
	pid_t pid;

	if (!prepare())
		SKIP("needs root");
	install("plain", 0, 0, 0755);
	install("suid", 1234, 0, 04755);
	CHECK_EQ(run("./plain", with_death_signal, &r), 0);
	CHECK(r.pdeathsig == SIGKILL && r.dumpable);
	CHECK_EQ(r.personality, ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS);
	CHECK_EQ(run("./suid", with_death_signal, &r), 0);
	CHECK_EQ(r.pdeathsig, 0);
	CHECK_EQ(r.personality, STICKY_TIMEOUTS);
	install("secret", 0, 0, 0711); /* not to be read, so not to be looked into */
	CHECK_EQ(run("./secret", become_user, &r), 0);
	CHECK(!r.dumpable && !r.secure);

	pid = h_fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become_user();
		prctl(PR_GET_PDEATHSIG, &sig);
		CHECK_EQ(sig, 0);
		CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
		child_exit();
	}
	JOIN(pid);
}
