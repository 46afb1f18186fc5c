/*
 * NETLINK_ROUTE: what there is of interfaces, addresses, routes and rules, told as rtnetlink(7) has it: the loopback interface, its two
 * addresses, and the routes that come with them.  Nothing can be changed.
 */
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/net/interface.h"
#include "sentry/net/netlink/internal.h"
#include "sentry/task/task.h"

#define FOR_EVER UINT32_MAX
#define STATS64_SIZE 200 /* struct rtnl_link_stats64, and _stats */
#define STATS_SIZE 100

static const uint8_t loopback4[4] = {127, 0, 0, 1}, loopback_net[4] = {127, 0, 0, 0}, loopback_all[4] = {127, 255, 255, 255};
static const uint8_t loopback6[16] = {[15] = 1};

/* ---- links ---- */

static void put_link(struct nl_answer *a, uint16_t flags)
{
	const struct l_ifinfomsg info = {
		.ifi_type = L_ARPHRD_LOOPBACK,
		.ifi_index = LOOPBACK_INDEX,
		.ifi_flags = L_IFF_UP | L_IFF_LOOPBACK | L_IFF_RUNNING | L_IFF_LOWER_UP,
	};
	static const uint8_t zeros[STATS64_SIZE];

	nl_begin(a, L_RTM_NEWLINK, flags);
	nl_put(a, &info, sizeof(info));
	nl_attr(a, L_IFLA_IFNAME, LOOPBACK_NAME, sizeof(LOOPBACK_NAME));
	nl_attr32(a, L_IFLA_TXQLEN, LOOPBACK_QUEUE);
	nl_attr8(a, L_IFLA_OPERSTATE, 0);
	nl_attr8(a, L_IFLA_LINKMODE, 0);
	nl_attr32(a, L_IFLA_MTU, LOOPBACK_MTU);
	nl_attr32(a, L_IFLA_GROUP, 0);
	nl_attr32(a, L_IFLA_PROMISCUITY, 0);
	nl_attr32(a, L_IFLA_NUM_TX_QUEUES, 1);
	nl_attr32(a, L_IFLA_NUM_RX_QUEUES, 1);
	nl_attr8(a, L_IFLA_CARRIER, 1);
	nl_attr(a, L_IFLA_QDISC, "noqueue", sizeof("noqueue"));
	nl_attr(a, L_IFLA_ADDRESS, zeros, 6);
	nl_attr(a, L_IFLA_BROADCAST, zeros, 6);
	nl_attr(a, L_IFLA_STATS64, zeros, STATS64_SIZE);
	nl_attr(a, L_IFLA_STATS, zeros, STATS_SIZE);
	nl_end(a);
}

/* The attribute of that type among len bytes, or NULL; *size gets its bytes' count. */
static const uint8_t *find_attr(const uint8_t *data, size_t len, uint16_t type, size_t *size)
{
	while (len >= sizeof(struct l_nlattr)) {
		struct l_nlattr at;
		size_t step;

		memcpy(&at, data, sizeof(at));
		if (at.nla_len < sizeof(at) || at.nla_len > len)
			return NULL;
		if ((at.nla_type & 0x3fff) == type) {
			*size = at.nla_len - sizeof(at);
			return data + sizeof(at);
		}
		step = L_NL_ALIGN(at.nla_len);
		if (step > len)
			return NULL;
		data += step;
		len -= step;
	}
	return NULL;
}

/* One link, by number or name. */
static int get_link(const uint8_t *body, size_t len, struct nl_answer *a)
{
	struct l_ifinfomsg q;
	const uint8_t *name;
	size_t size = 0;

	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, body, sizeof(q));
	name = find_attr(body + sizeof(q), len - sizeof(q), L_IFLA_IFNAME, &size);
	if (q.ifi_index < 0)
		return -EINVAL;
	if (!q.ifi_index && !name)
		return -EINVAL;
	if (q.ifi_index ? q.ifi_index != LOOPBACK_INDEX : (size < sizeof(LOOPBACK_NAME) - 1 || memcmp(name, LOOPBACK_NAME, 2) || (size > 2 && name[2])))
		return -ENODEV;
	put_link(a, 0);
	return 0;
}

/* ---- addresses ---- */

static void put_addr(struct nl_answer *a, uint8_t family)
{
	const struct l_ifa_cacheinfo cache = {FOR_EVER, FOR_EVER, 0, 0};
	const struct l_ifaddrmsg m = {
		.ifa_family = family,
		.ifa_prefixlen = family == L_AF_INET ? 8 : 128,
		.ifa_flags = L_IFA_F_PERMANENT,
		.ifa_scope = L_RT_SCOPE_HOST,
		.ifa_index = LOOPBACK_INDEX,
	};

	nl_begin(a, L_RTM_NEWADDR, L_NLM_F_MULTI);
	nl_put(a, &m, sizeof(m));
	if (family == L_AF_INET) {
		nl_attr(a, L_IFA_ADDRESS, loopback4, sizeof(loopback4));
		nl_attr(a, L_IFA_LOCAL, loopback4, sizeof(loopback4));
		nl_attr(a, L_IFA_LABEL, LOOPBACK_NAME, sizeof(LOOPBACK_NAME));
		nl_attr32(a, L_IFA_FLAGS, L_IFA_F_PERMANENT);
	} else {
		nl_attr(a, L_IFA_ADDRESS, loopback6, sizeof(loopback6));
	}
	nl_attr(a, L_IFA_CACHEINFO, &cache, sizeof(cache));
	if (family == L_AF_INET6)
		nl_attr32(a, L_IFA_FLAGS, L_IFA_F_PERMANENT);
	nl_end(a);
}

/* ---- routes ---- */

struct route {
	uint8_t family, type, scope, prefix;
	const uint8_t *to;
};

static const struct route routes[] = {
	{L_AF_INET, L_RTN_LOCAL, L_RT_SCOPE_HOST, 8, loopback_net},
	{L_AF_INET, L_RTN_LOCAL, L_RT_SCOPE_HOST, 32, loopback4},
	{L_AF_INET, L_RTN_BROADCAST, L_RT_SCOPE_LINK, 32, loopback_all},
	{L_AF_INET6, L_RTN_LOCAL, 0, 128, loopback6},
};

static void put_route(struct nl_answer *a, const struct route *r, uint16_t flags, uint32_t rtm_flags)
{
	const struct l_rtmsg m = {
		.rtm_family = r->family,
		.rtm_dst_len = r->prefix,
		.rtm_table = rtm_flags ? L_RT_TABLE_MAIN : L_RT_TABLE_LOCAL, /* the way to one address is told as the main table's */
		.rtm_protocol = L_RTPROT_KERNEL,
		.rtm_scope = r->scope,
		.rtm_type = r->type,
		.rtm_flags = rtm_flags,
	};

	nl_begin(a, L_RTM_NEWROUTE, flags);
	nl_put(a, &m, sizeof(m));
	nl_attr32(a, L_RTA_TABLE, m.rtm_table);
	nl_attr(a, L_RTA_DST, r->to, r->family == L_AF_INET ? 4 : 16);
	if (r->family == L_AF_INET)
		nl_attr(a, L_RTA_PREFSRC, loopback4, sizeof(loopback4));
	else
		nl_attr32(a, L_RTA_PRIORITY, 0);
	nl_attr32(a, L_RTA_OIF, LOOPBACK_INDEX);
	nl_end(a);
}

/* The way to one address. */
static int get_route(const uint8_t *body, size_t len, struct nl_answer *a)
{
	struct route r = {.type = L_RTN_LOCAL, .scope = 0};
	const uint8_t *to;
	struct l_rtmsg q;
	size_t size;

	if (len < sizeof(q))
		return -EINVAL;
	memcpy(&q, body, sizeof(q));
	to = find_attr(body + sizeof(q), len - sizeof(q), L_RTA_DST, &size);
	if (!to || (q.rtm_family != L_AF_INET && q.rtm_family != L_AF_INET6))
		return -EINVAL;
	if (size != (q.rtm_family == L_AF_INET ? 4 : 16))
		return -EINVAL;
	if (q.rtm_family == L_AF_INET ? to[0] != 127 : memcmp(to, loopback6, 16) != 0)
		return -ENETUNREACH;
	r.family = q.rtm_family;
	r.prefix = q.rtm_family == L_AF_INET ? 32 : 128;
	r.to = to;
	put_route(a, &r, 0, L_RTM_F_CLONED);
	return 0;
}

static void put_rule(struct nl_answer *a, uint8_t family, uint32_t priority, uint8_t table)
{
	const struct l_fib_rule_hdr h = {.family = family, .table = table, .action = L_FR_ACT_TO_TBL};

	nl_begin(a, L_RTM_NEWRULE, L_NLM_F_MULTI);
	nl_put(a, &h, sizeof(h));
	nl_attr32(a, L_FRA_TABLE, table);
	nl_attr32(a, L_FRA_PRIORITY, priority);
	nl_end(a);
}

/* ---- questions ---- */

static bool wants(uint8_t asked, uint8_t family)
{
	return asked == L_AF_UNSPEC || asked == family;
}

static void dump_addrs(struct nl_answer *a, uint8_t family)
{
	if (wants(family, L_AF_INET))
		put_addr(a, L_AF_INET);
	if (wants(family, L_AF_INET6))
		put_addr(a, L_AF_INET6);
}

static void dump_routes(struct nl_answer *a, uint8_t family)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (wants(family, routes[i].family))
			put_route(a, &routes[i], L_NLM_F_MULTI, 0);
}

static void dump_rules(struct nl_answer *a, uint8_t family)
{
	if (wants(family, L_AF_INET)) {
		put_rule(a, L_AF_INET, 0, L_RT_TABLE_LOCAL);
		put_rule(a, L_AF_INET, 32766, L_RT_TABLE_MAIN);
		put_rule(a, L_AF_INET, 32767, L_RT_TABLE_DEFAULT);
	}
	if (wants(family, L_AF_INET6)) {
		put_rule(a, L_AF_INET6, 0, L_RT_TABLE_LOCAL);
		put_rule(a, L_AF_INET6, 32766, L_RT_TABLE_MAIN);
	}
}

/* All of a kind, ended by DONE. */
static int dump(uint16_t type, uint8_t family, struct nl_answer *a)
{
	const int32_t done = 0;

	switch (type) {
	case L_RTM_GETLINK:
		put_link(a, L_NLM_F_MULTI);
		break;
	case L_RTM_GETADDR:
		dump_addrs(a, family);
		break;
	case L_RTM_GETROUTE:
		dump_routes(a, family);
		break;
	case L_RTM_GETRULE:
		dump_rules(a, family);
		break;
	case L_RTM_GETNEIGH: /* there are none */
	case L_RTM_GETNEIGHTBL:
	case L_RTM_GETNETCONF:
	case L_RTM_GETQDISC:
		break;
	default:
		return -EOPNOTSUPP;
	}
	nl_begin(a, L_NLMSG_DONE, L_NLM_F_MULTI);
	nl_put(a, &done, sizeof(done));
	nl_end(a);
	return 0;
}

int route_answer(struct task *t, const struct l_nlmsghdr *q, const uint8_t *body, size_t len, struct nl_answer *a)
{
	if (q->nlmsg_type > L_RTM_MAX)
		return -EOPNOTSUPP;
	if (len < sizeof(struct l_rtgenmsg))
		return 0;
	/* Of each four types the third asks, and only asking is for everybody. */
	if ((q->nlmsg_type - L_RTM_BASE) % 4 != 2)
		return cred_own_capable(t->cred, L_CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
	if (q->nlmsg_flags & L_NLM_F_DUMP)
		return dump(q->nlmsg_type, body[0], a);
	switch (q->nlmsg_type) {
	case L_RTM_GETLINK:
		return get_link(body, len, a);
	case L_RTM_GETROUTE:
		return get_route(body, len, a);
	}
	return -EOPNOTSUPP;
}
