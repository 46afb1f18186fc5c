/* What programs ask by netlink(7) about interfaces, addresses and routes, and by netdevice(7)'s ioctls: of the loopback interface. */
#include "inet.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

static char buf[65536];
static int fd;

static void open_netlink(void)
{
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	REQUIRE(fd >= 0);
}

struct question {
	struct nlmsghdr h;
	union {
		struct rtgenmsg gen;
		struct ifinfomsg link;
		struct rtmsg route;
		char more[64];
	};
};

/* Asks; size is that of what follows the header. */
static ssize_t ask(struct question *q, int type, int flags, size_t size)
{
	q->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	q->h.nlmsg_type = (uint16_t)type;
	q->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	q->h.nlmsg_seq = 77;
	return send(fd, q, q->h.nlmsg_len, 0);
}

/* Calls see for each message of a dump. */
static int dump(int type, int family, void (*see)(const struct nlmsghdr *h))
{
	struct question q = {.gen.rtgen_family = (uint8_t)family};
	int count = 0;

	REQUIRE(ask(&q, type, NLM_F_DUMP, sizeof(struct rtmsg)) > 0);
	for (;;) {
		size_t n = (size_t)recv(fd, buf, sizeof(buf), 0);

		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			CHECK_EQ(h->nlmsg_seq, 77);
			if (h->nlmsg_type == NLMSG_DONE)
				return count;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			CHECK(h->nlmsg_flags & NLM_F_MULTI);
			if (see)
				see(h);
			count++;
		}
	}
}

/* The errno that answers a question; 0: an acknowledgement; -1: it was answered. */
static int refusal(void)
{
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(*h))
		return -2;
	return h->nlmsg_type == NLMSG_ERROR ? -((struct nlmsgerr *)NLMSG_DATA(h))->error : -1;
}

static const void *attribute(struct rtattr *a, int len, int type)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type)
			return RTA_DATA(a);
	return NULL;
}

static int seen;

static void see_link(const struct nlmsghdr *h)
{
	struct ifinfomsg *i = NLMSG_DATA(h);
	int len = (int)IFLA_PAYLOAD(h);
	const char *name = attribute(IFLA_RTA(i), len, IFLA_IFNAME);

	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	if (!CHECK(name) || strcmp(name, "lo"))
		return;
	seen++;
	CHECK_EQ(i->ifi_index, 1);
	CHECK_EQ(i->ifi_type, 772);
	CHECK(i->ifi_flags & IFF_LOOPBACK);
	CHECK_EQ(*(const uint32_t *)attribute(IFLA_RTA(i), len, IFLA_MTU), 65536);
	CHECK_EQ(*(const uint32_t *)attribute(IFLA_RTA(i), len, IFLA_TXQLEN), 1000);
	CHECK(attribute(IFLA_RTA(i), len, IFLA_ADDRESS));
	CHECK(attribute(IFLA_RTA(i), len, IFLA_STATS64));
}

TEST(links)
{
	open_netlink();
	seen = 0;
	CHECK(dump(RTM_GETLINK, AF_UNSPEC, see_link) >= 1);
	CHECK_EQ(seen, 1);
	close(fd);
}

static void see_address(const struct nlmsghdr *h)
{
	struct ifaddrmsg *m = NLMSG_DATA(h);
	int len = (int)IFA_PAYLOAD(h);

	CHECK_EQ(h->nlmsg_type, RTM_NEWADDR);
	if (m->ifa_index != 1)
		return;
	seen |= m->ifa_family == AF_INET ? 1 : 2;
	CHECK_EQ(m->ifa_prefixlen, m->ifa_family == AF_INET ? 8 : 128);
	CHECK_EQ(m->ifa_scope, RT_SCOPE_HOST);
	CHECK(attribute(IFA_RTA(m), len, IFA_ADDRESS));
	CHECK(attribute(IFA_RTA(m), len, IFA_CACHEINFO));
	if (m->ifa_family == AF_INET)
		CHECK_STR(attribute(IFA_RTA(m), len, IFA_LABEL), "lo");
}

TEST(addresses)
{
	open_netlink();
	seen = 0;
	dump(RTM_GETADDR, AF_UNSPEC, see_address);
	CHECK_EQ(seen, 3);
	seen = 0;
	dump(RTM_GETADDR, AF_INET, see_address);
	CHECK_EQ(seen, 1);
	seen = 0;
	dump(RTM_GETADDR, AF_INET6, see_address);
	CHECK_EQ(seen, 2);
	close(fd);
}

static void see_route(const struct nlmsghdr *h)
{
	struct rtmsg *m = NLMSG_DATA(h);
	const uint8_t *to = attribute(RTM_RTA(m), (int)RTM_PAYLOAD(h), RTA_DST);

	CHECK_EQ(h->nlmsg_type, RTM_NEWROUTE);
	if (m->rtm_family == AF_INET && to && to[0] == 127 && m->rtm_dst_len == 8) {
		CHECK_EQ(m->rtm_type, RTN_LOCAL);
		CHECK_EQ(m->rtm_table, RT_TABLE_LOCAL);
		seen++;
	}
}

TEST(routes)
{
	open_netlink();
	seen = 0;
	CHECK(dump(RTM_GETROUTE, AF_UNSPEC, see_route) >= 3);
	CHECK_EQ(seen, 1);
	CHECK_EQ(dump(RTM_GETRULE, AF_INET, NULL), 3);
	close(fd);
}

TEST(one_link)
{
	struct question q = {0};
	struct rtattr *a = (struct rtattr *)((char *)&q.link + sizeof(q.link));

	open_netlink();
	a->rta_type = IFLA_IFNAME;
	a->rta_len = RTA_LENGTH(3);
	strcpy(RTA_DATA(a), "lo");
	CHECK(ask(&q, RTM_GETLINK, 0, sizeof(q.link) + RTA_SPACE(3)) > 0);
	CHECK_EQ(refusal(), -1);
	CHECK_EQ(((struct nlmsghdr *)buf)->nlmsg_type, RTM_NEWLINK);
	CHECK_EQ(((struct nlmsghdr *)buf)->nlmsg_flags, 0);
	strcpy(RTA_DATA(a), "xy");
	CHECK(ask(&q, RTM_GETLINK, 0, sizeof(q.link) + RTA_SPACE(3)) > 0);
	CHECK_EQ(refusal(), ENODEV);
	CHECK(ask(&q, RTM_GETLINK, 0, sizeof(q.link)) > 0);
	CHECK_EQ(refusal(), EINVAL);
	q.link.ifi_index = 1;
	CHECK(ask(&q, RTM_GETLINK, NLM_F_ACK, sizeof(q.link)) > 0);
	CHECK_EQ(refusal(), -1);
	CHECK_EQ(refusal(), 0);
	q.link.ifi_index = 9999;
	CHECK(ask(&q, RTM_GETLINK, 0, sizeof(q.link)) > 0);
	CHECK_EQ(refusal(), ENODEV);
	close(fd);
}

TEST(malformed)
{
	struct question q = {0};

	open_netlink();
	CHECK(ask(&q, 4000, 0, 16) > 0);
	CHECK_EQ(refusal(), EOPNOTSUPP);
	/* Neither a question, nor long enough to be one: passed over. */
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(send(fd, "", 0, 0), -1);
	CHECK_EQ(errno, ENODATA);
	CHECK_EQ(refusal(), -2);
	q.h = (struct nlmsghdr){.nlmsg_len = 8, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST};
	CHECK_EQ(send(fd, &q, 16, 0), 16);
	q.h.nlmsg_len = 0xffffffff;
	CHECK_EQ(send(fd, &q, 64, 0), 64);
	q.h.nlmsg_len = 32;
	q.h.nlmsg_flags = 0;
	CHECK_EQ(send(fd, &q, 32, 0), 32);
	CHECK_EQ(refusal(), -2);
	/* Only the header, and an acknowledgement wanted. */
	CHECK(ask(&q, NLMSG_NOOP, NLM_F_ACK, 0) > 0);
	CHECK_EQ(refusal(), 0);
	CHECK(ask(&q, RTM_GETLINK, 0, 4) > 0);
	CHECK_EQ(refusal(), EINVAL);
	CHECK_ERR(send(fd, (void *)1, 32, 0), EFAULT);
	CHECK_ERR(send(fd, &q, 32, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(recv(fd, buf, 1, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(recv(fd, buf, 1, MSG_DONTWAIT), EAGAIN);
	close(fd);
}

TEST(names)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK}, b;
	socklen_t len = sizeof(b);
	int other, bound;

	open_netlink();
	CHECK_EQ(getsockname(fd, SA(b), &len), 0);
	CHECK_EQ(len, sizeof(b));
	CHECK_EQ(b.nl_pid, 0);
	CHECK_EQ(bind(fd, SA(a), sizeof(a)), 0);
	CHECK_EQ(getsockname(fd, SA(b), &len), 0);
	CHECK_EQ(b.nl_pid, getpid());
	CHECK_EQ(bind(fd, SA(a), sizeof(a)), -1);
	CHECK_EQ(errno, EINVAL);
	bound = fd;
	open_netlink();
	other = fd;
	CHECK_EQ(bind(other, SA(a), sizeof(a)), 0);
	CHECK_EQ(getsockname(other, SA(b), &len), 0);
	CHECK(b.nl_pid && b.nl_pid != (uint32_t)getpid());
	close(other);
	open_netlink();
	a.nl_pid = (uint32_t)getpid();
	CHECK_ERR(bind(fd, SA(a), sizeof(a)), EADDRINUSE);
	CHECK_ERR(bind(fd, SA(a), 4), EINVAL);
	a.nl_family = AF_INET;
	CHECK_ERR(bind(fd, SA(a), sizeof(a)), EINVAL);
	CHECK_EQ(getpeername(fd, SA(b), &len), 0);
	CHECK_EQ(b.nl_pid, 0);
	close(bound);
	close(fd);
	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
	fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
	CHECK(fd >= 0);
	close(fd);
}

/* A datagram is told whole, however little of it is taken. */
TEST(truncated)
{
	struct question q = {.gen.rtgen_family = AF_INET};
	struct sockaddr_nl from;
	socklen_t len = sizeof(from);
	ssize_t whole;

	open_netlink();
	CHECK(ask(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(q.gen)) > 0);
	whole = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
	CHECK(whole >= 32);
	CHECK_EQ(recvfrom(fd, buf, 4, MSG_TRUNC, SA(from), &len), whole);
	CHECK_EQ(len, sizeof(from));
	CHECK_EQ(from.nl_pid, 0);
	close(fd);
}

TEST(libraries)
{
	struct ifaddrs *all, *i;
	char name[IF_NAMESIZE];
	int got = 0;

	CHECK_EQ(if_nametoindex("lo"), 1);
	CHECK_EQ(if_nametoindex("nonsense"), 0);
	CHECK_STR(if_indextoname(1, name), "lo");
	CHECK(!if_indextoname(9999, name));
	REQUIRE(getifaddrs(&all) == 0);
	for (i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") || !i->ifa_addr)
			continue;
		CHECK(i->ifa_flags & IFF_LOOPBACK);
		if (i->ifa_addr->sa_family == AF_INET)
			got |= ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK) ? 1 : 0;
		else if (i->ifa_addr->sa_family == AF_INET6)
			got |= IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr) ? 2 : 0;
		else if (i->ifa_addr->sa_family == AF_PACKET)
			got |= 4;
	}
	CHECK_EQ(got, 7);
	freeifaddrs(all);
}

TEST(ioctls)
{
	struct ifreq r = {.ifr_name = "lo"}, all[64];
	struct ifconf c = {.ifc_len = sizeof(all), .ifc_req = all};
	int s = socket(AF_INET, SOCK_DGRAM, 0), i, count;

	CHECK_EQ(ioctl(s, SIOCGIFFLAGS, &r), 0);
	CHECK_EQ(r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	CHECK_EQ(ioctl(s, SIOCGIFADDR, &r), 0);
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(ioctl(s, SIOCGIFNETMASK, &r), 0);
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
	CHECK_EQ(ioctl(s, SIOCGIFMTU, &r), 0);
	CHECK_EQ(r.ifr_mtu, 65536);
	CHECK_EQ(ioctl(s, SIOCGIFINDEX, &r), 0);
	CHECK_EQ(r.ifr_ifindex, 1);
	CHECK_EQ(ioctl(s, SIOCGIFHWADDR, &r), 0);
	CHECK_EQ(r.ifr_hwaddr.sa_family, 772);
	CHECK_EQ(ioctl(s, SIOCGIFTXQLEN, &r), 0);
	CHECK_EQ(r.ifr_qlen, 1000);
	r = (struct ifreq){.ifr_ifindex = 1};
	CHECK_EQ(ioctl(s, SIOCGIFNAME, &r), 0);
	CHECK_STR(r.ifr_name, "lo");
	r = (struct ifreq){.ifr_name = "nonsense"};
	CHECK_ERR(ioctl(s, SIOCGIFFLAGS, &r), ENODEV);
	CHECK_ERR(ioctl(s, SIOCGIFADDR, &r), ENODEV);
	CHECK_ERR(ioctl(s, SIOCGIFFLAGS, (void *)1), EFAULT);
	CHECK_EQ(ioctl(s, SIOCGIFCONF, &c), 0);
	count = c.ifc_len / (int)sizeof(r);
	for (i = 0; i < count && strcmp(all[i].ifr_name, "lo"); i++)
		;
	CHECK(i < count);
	c = (struct ifconf){0};
	CHECK_EQ(ioctl(s, SIOCGIFCONF, &c), 0);
	CHECK_EQ(c.ifc_len, count * (int)sizeof(r));
	CHECK_ERR(ioctl(s, 0x12345, &r), ENOTTY);
	close(s);
}
