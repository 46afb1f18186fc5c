/* Making and unmaking pseudo-terminals: pty(7), ioctl_tty(2), devpts. */
#include "harness.h"
#include "pty.h"

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

TEST(names)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, n = -1;
	struct stat st, by_name;
	char name[64], link[64], path[64];
	struct statfs fs;
	ssize_t len;

	REQUIRE(master >= 0);
	OK(ptsname_r(master, name, sizeof(name)));
	OK(ioctl(master, TIOCGPTN, &n));
	snprintf(path, sizeof(path), "/dev/pts/%d", n);
	CHECK_STR(name, path);
	/* It is locked until unlockpt. */
	CHECK_ERR(open(name, O_RDWR | O_NOCTTY), EIO);
	n = 0;
	OK(ioctl(master, TIOCGPTLCK, &n));
	CHECK_EQ(n, 1);
	OK(grantpt(master));
	OK(unlockpt(master));
	OK(ioctl(master, TIOCGPTLCK, &n));
	CHECK_EQ(n, 0);
	slave = open(name, O_RDWR | O_NOCTTY);
	REQUIRE(slave >= 0);
	OK(fstat(slave, &st));
	OK(stat(name, &by_name));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(major(st.st_rdev), 136);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_ino, by_name.st_ino);
	CHECK_EQ(st.st_dev, by_name.st_dev);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", slave);
	len = readlink(path, link, sizeof(link) - 1);
	REQUIRE(len > 0);
	link[len] = 0;
	CHECK_STR(link, name);
	OK(ttyname_r(slave, link, sizeof(link)));
	CHECK_STR(link, name);
	OK(fstatfs(slave, &fs));
	CHECK_EQ(fs.f_type, 0x1cd1);
	OK(fstat(master, &st));
	CHECK_EQ(st.st_rdev, makedev(5, 2));
	/* The slave is no master. */
	CHECK_ERR(ioctl(slave, TIOCGPTN, &n), ENOTTY);
	CHECK_ERR(lseek(slave, 0, SEEK_CUR), ESPIPE);
	close(master);
	CHECK_ERR(stat(name, &st), ENOENT);
	close(slave);
}

TEST(owner_and_mode)
{
	struct pair p = pty_pair();
	struct stat st;

	OK(chmod(p.name, 0640));
	OK(stat(p.name, &st));
	CHECK_EQ(st.st_mode & 07777, 0640);
	if (geteuid() == 0) {
		OK(chown(p.name, 1234, 5));
		OK(fstat(p.slave, &st));
		CHECK_EQ(st.st_uid, 1234);
		OK(fchown(p.slave, 0, 0));
	}
	CHECK(mkdir("/dev/pts/x", 0700) < 0);
	CHECK(open("/dev/pts/file", O_CREAT | O_RDWR, 0600) < 0);
	CHECK(unlink(p.name) < 0);
	pty_close(&p);
}

TEST(listing)
{
	struct pair p = pty_pair();
	DIR *dir = opendir("/dev/pts");
	struct dirent *e;
	bool ptmx = false, slave = false;

	REQUIRE(dir);
	while ((e = readdir(dir))) {
		ptmx |= strcmp(e->d_name, "ptmx") == 0;
		if (strcmp(e->d_name, p.name + strlen("/dev/pts/")) == 0) {
			struct stat st;

			slave = true;
			OK(stat(p.name, &st));
			CHECK_EQ(e->d_ino, st.st_ino);
			CHECK_EQ(e->d_type, DT_CHR);
		}
	}
	closedir(dir);
	CHECK(ptmx && slave);
	pty_close(&p);
}

TEST(open_peer)
{
	char name[64];
	int master = pty_master(name), slave, locked = 1;
	struct stat a, b;

	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	REQUIRE(slave >= 0);
	CHECK_EQ(fcntl(slave, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(slave, F_GETFL) & O_ACCMODE, O_RDWR);
	OK(stat(name, &a));
	OK(fstat(slave, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	OK(ioctl(master, TIOCSPTLCK, &locked));
	CHECK_ERR(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY), EIO);
	close(slave);
	close(master);
}

/* The last slave is closed: the master reads what there was, then EIO; a new slave mends that. */
TEST(slave_closed)
{
	struct pair p = pty_pair();
	char c;

	pty_type(p.slave, "ab");
	CHECK(pty_wait(p.master, POLLIN));
	CHECK_EQ(pty_events(p.master), POLLIN | POLLOUT);
	close(p.slave);
	CHECK(pty_wait(p.master, POLLHUP));
	EXPECT(p.master, "ab");
	CHECK_ERR(read(p.master, &c, 1), EIO);
	CHECK_EQ(pty_events(p.master) & (POLLHUP | POLLIN), POLLHUP);
	p.slave = open(p.name, O_RDWR | O_NOCTTY);
	REQUIRE(p.slave >= 0);
	CHECK_EQ(pty_events(p.master), POLLOUT);
	OK(fcntl(p.master, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(p.master, &c, 1), EAGAIN);
	TYPED(p, "x\n", "x\n", "x\r\n");
	pty_close(&p);
}

/* Before a slave was opened there is nothing to hang up. */
TEST(no_slave_yet)
{
	char name[64], c;
	int master = pty_master(name);

	OK(fcntl(master, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(master, &c, 1), EAGAIN);
	CHECK_EQ(pty_events(master) & (POLLHUP | POLLIN), 0);
	close(master);
}

TEST(master_closed)
{
	struct pair p = pty_pair();
	struct termios t;
	char c;
	int n;

	pty_type(p.master, "lost\n");
	CHECK(pty_wait(p.slave, POLLIN));
	close(p.master);
	CHECK(pty_wait(p.slave, POLLHUP));
	CHECK_EQ(pty_events(p.slave), POLLIN | POLLOUT | POLLERR | POLLHUP);
	CHECK_EQ(read(p.slave, &c, 1), 0);
	CHECK_ERR(write(p.slave, "x", 1), EIO);
	CHECK_ERR(tcgetattr(p.slave, &t), EIO);
	CHECK_ERR(ioctl(p.slave, FIONREAD, &n), EIO);
	CHECK_ERR(open(p.name, O_RDWR | O_NOCTTY), ENOENT);
	close(p.slave);
}

/* Who sleeps in read when the other side goes wakes up. */
TEST(wakes_sleepers)
{
	struct pair p = pty_pair();
	struct gate gate;
	char c;
	pid_t pid;

	gate_init(&gate);
	pid = h_fork();
	if (pid == 0) {
		close(p.master);
		gate_open(&gate);
		/* Linux says either, by which it sees first: that the other side has closed, or the hang-up. */
		CHECK(read(p.slave, &c, 1) == 0 || errno == EIO);
		child_exit();
	}
	gate_pass(&gate);
	CHECK(h_wait_state(pid, "S"));
	close(p.master);
	JOIN(pid);
	close(p.slave);
	gate_free(&gate);
}

TEST(epoll_edges)
{
	struct pair p = pty_pair();
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	pty_raw(p.slave, 1, 0);
	REQUIRE(ep >= 0);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p.slave, &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	pty_type(p.master, "a");
	CHECK_EQ(epoll_wait(ep, &ev, 1, PTY_TIMEOUT_MS), 1);
	pty_type(p.master, "b");
	CHECK_EQ(epoll_wait(ep, &ev, 1, PTY_TIMEOUT_MS), 1);
	EXPECT(p.slave, "ab");
	close(ep);
	pty_close(&p);
}

/* TIOCPKT: what happened to the line comes in a byte before what it printed. */
TEST(packet_mode)
{
	struct pair p = pty_pair();
	int on = 1, is = 0;
	char buf[16];
	struct termios t;

	OK(ioctl(p.master, TIOCPKT, &on));
	OK(ioctl(p.master, TIOCGPKT, &is));
	CHECK_EQ(is, 1);
	pty_type(p.slave, "ab");
	CHECK(pty_wait(p.master, POLLIN));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 3);
	CHECK(memcmp(buf, "\0ab", 3) == 0);
	OK(tcflush(p.slave, TCIFLUSH));
	CHECK(pty_wait(p.master, POLLPRI));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_FLUSHREAD);
	pty_type(p.master, "\23");
	CHECK(pty_wait(p.master, POLLPRI));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_STOP);
	pty_type(p.master, "\21");
	CHECK(pty_wait(p.master, POLLPRI));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_START);
	OK(tcgetattr(p.slave, &t));
	t.c_iflag &= ~(tcflag_t)IXON;
	OK(tcsetattr(p.slave, TCSANOW, &t));
	CHECK(pty_wait(p.master, POLLPRI));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_NOSTOP);
	t.c_iflag |= IXON;
	OK(tcsetattr(p.slave, TCSANOW, &t));
	CHECK(pty_wait(p.master, POLLPRI));
	CHECK_EQ(read(p.master, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], TIOCPKT_DOSTOP);
	on = 0;
	OK(ioctl(p.master, TIOCPKT, &on));
	pty_type(p.slave, "c");
	EXPECT(p.master, "c");
	pty_close(&p);
}

TEST(exclusive)
{
	struct pair p = pty_pair();
	int is = -1, fd;
	pid_t pid;

	OK(ioctl(p.slave, TIOCGEXCL, &is));
	CHECK_EQ(is, 0);
	OK(ioctl(p.slave, TIOCEXCL));
	OK(ioctl(p.slave, TIOCGEXCL, &is));
	CHECK_EQ(is, 1);
	pid = h_fork();
	if (pid == 0) {
		if (geteuid() == 0) {
			OK(chmod(p.name, 0666));
			OK(setresuid(1234, 1234, 1234));
		}
		CHECK_ERR(open(p.name, O_RDWR | O_NOCTTY), EBUSY);
		child_exit();
	}
	JOIN(pid);
	OK(ioctl(p.slave, TIOCNXCL));
	fd = open(p.name, O_RDWR | O_NOCTTY);
	CHECK(fd >= 0);
	close(fd);
	pty_close(&p);
}

TEST(window_size)
{
	struct pair p = pty_pair();
	struct winsize w = {24, 80, 1, 2}, now;

	OK(ioctl(p.slave, TIOCGWINSZ, &now));
	CHECK_EQ(now.ws_row, 0);
	OK(ioctl(p.master, TIOCSWINSZ, &w));
	OK(ioctl(p.slave, TIOCGWINSZ, &now));
	CHECK(memcmp(&w, &now, sizeof(w)) == 0);
	CHECK_ERR(ioctl(p.slave, TIOCSWINSZ, (void *)8), EFAULT);
	pty_close(&p);
}

TEST(small_requests)
{
	struct pair p = pty_pair();
	int n = -1, on = 1;
	unsigned dev = 0;
	struct stat st;

	OK(ioctl(p.slave, TIOCGETD, &n));
	CHECK_EQ(n, 0);
	OK(ioctl(p.slave, TIOCSETD, &n));
	OK(fstat(p.slave, &st));
	OK(ioctl(p.slave, TIOCGDEV, &dev));
	CHECK_EQ(dev, st.st_rdev);
	OK(ioctl(p.slave, FIONBIO, &on));
	CHECK(fcntl(p.slave, F_GETFL) & O_NONBLOCK);
	CHECK_ERR(ioctl(p.slave, 0x54ff, 0), ENOTTY);
	CHECK_ERR(ioctl(p.master, 0x54ff, 0), ENOTTY);
	CHECK_ERR(ioctl(p.master, TIOCSIG, SIGKILL), EINVAL);
	pty_close(&p);
}

/* TIOCSTI is for the privileged: dev.tty.legacy_tiocsti is 0. */
TEST(fake_input)
{
	struct pair p = pty_pair();
	char text[8] = "";
	pid_t pid;

	if (read_file("/proc/sys/dev/tty/legacy_tiocsti", text, sizeof(text)) <= 0 || text[0] != '0')
		SKIP("TIOCSTI is open to all here");
	pid = h_fork();
	if (pid == 0) {
		if (geteuid() == 0)
			OK(setresuid(1234, 1234, 1234));
		CHECK_ERR(ioctl(p.slave, TIOCSTI, "x"), EIO);
		child_exit();
	}
	JOIN(pid);
	pty_close(&p);
}

TEST(hang_up_request)
{
	struct pair p = pty_pair();
	char c;
	int again;

	if (geteuid() != 0)
		SKIP("not root");
	if (ioctl(p.slave, TIOCVHANGUP) < 0 && errno == EPERM)
		SKIP("no CAP_SYS_ADMIN");
	CHECK_EQ(read(p.slave, &c, 1), 0);
	CHECK_ERR(write(p.slave, "x", 1), EIO);
	/* It is open still: the master sees no end. */
	CHECK_EQ(pty_events(p.master) & POLLHUP, 0);
	/* Opened afresh it works. */
	again = open(p.name, O_RDWR | O_NOCTTY);
	REQUIRE(again >= 0);
	pty_type(again, "y");
	EXPECT(p.master, "y");
	close(p.slave);
	OK(fcntl(p.master, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(p.master, &c, 1), EAGAIN);
	close(again);
	close(p.master);
}

/* Every mount is an instance of its own. */
TEST(instances)
{
	int a, b, n = -1;
	struct stat st;

	use_tmpdir();
	OK(mkdir("pts", 0755));
	if (mount("devpts", "pts", "devpts", 0, "newinstance,mode=600,ptmxmode=666,max=2") < 0) {
		CHECK(errno == EPERM);
		SKIP("mount is not permitted");
	}
	OK(stat("pts/ptmx", &st));
	CHECK_EQ(st.st_mode, S_IFCHR | 0666);
	a = open("pts/ptmx", O_RDWR | O_NOCTTY);
	b = open("pts/ptmx", O_RDWR | O_NOCTTY);
	CHECK(a >= 0 && b >= 0);
	OK(ioctl(a, TIOCGPTN, &n));
	CHECK_EQ(n, 0);
	CHECK_ERR(open("pts/ptmx", O_RDWR | O_NOCTTY), ENOSPC);
	OK(stat("pts/0", &st));
	CHECK_EQ(st.st_mode, S_IFCHR | 0600);
	close(a);
	CHECK_ERR(stat("pts/0", &st), ENOENT);
	close(b);
	OK(umount("pts"));
	CHECK_ERR(mount("devpts", "pts", "devpts", 0, "nonsense=1"), EINVAL);
}
