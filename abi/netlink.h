/* Netlink, and what rtnetlink(7) says over it. */
#ifndef BAILEY_ABI_NETLINK_H
#define BAILEY_ABI_NETLINK_H

#include "abi/types.h"

#define L_NETLINK_ROUTE 0
#define L_NETLINK_SOCK_DIAG 4
#define L_NETLINK_KOBJECT_UEVENT 15
#define L_NETLINK_MAX 32

struct l_nlmsghdr {
	uint32_t nlmsg_len; /* this header included */
	uint16_t nlmsg_type;
	uint16_t nlmsg_flags;
	uint32_t nlmsg_seq;
	uint32_t nlmsg_pid;
};
L_ASSERT_SIZE(struct l_nlmsghdr, 16);

#define L_NLMSG_NOOP 1
#define L_NLMSG_ERROR 2
#define L_NLMSG_DONE 3
#define L_NLMSG_MIN_TYPE 0x10

#define L_NLM_F_REQUEST 1
#define L_NLM_F_MULTI 2
#define L_NLM_F_ACK 4
#define L_NLM_F_ROOT 0x100
#define L_NLM_F_MATCH 0x200
#define L_NLM_F_DUMP (L_NLM_F_ROOT | L_NLM_F_MATCH)
#define L_NLM_F_CAPPED 0x100

struct l_nlattr {
	uint16_t nla_len; /* this header included */
	uint16_t nla_type;
};
L_ASSERT_SIZE(struct l_nlattr, 4);

#define L_NL_ALIGN(len) (((len) + 3u) & ~3u)

#define L_NETLINK_ADD_MEMBERSHIP 1
#define L_NETLINK_DROP_MEMBERSHIP 2
#define L_NETLINK_PKTINFO 3
#define L_NETLINK_BROADCAST_ERROR 4
#define L_NETLINK_NO_ENOBUFS 5
#define L_NETLINK_LISTEN_ALL_NSID 8
#define L_NETLINK_LIST_MEMBERSHIPS 9
#define L_NETLINK_CAP_ACK 10
#define L_NETLINK_EXT_ACK 11
#define L_NETLINK_GET_STRICT_CHK 12

/* ---- rtnetlink ---- */

#define L_RTM_BASE 16
#define L_RTM_NEWLINK 16
#define L_RTM_GETLINK 18
#define L_RTM_NEWADDR 20
#define L_RTM_GETADDR 22
#define L_RTM_NEWROUTE 24
#define L_RTM_GETROUTE 26
#define L_RTM_GETNEIGH 30
#define L_RTM_NEWRULE 32
#define L_RTM_GETRULE 34
#define L_RTM_GETQDISC 38
#define L_RTM_GETNEIGHTBL 66
#define L_RTM_GETNETCONF 82
#define L_RTM_MAX 127

struct l_rtgenmsg {
	uint8_t rtgen_family;
};

struct l_ifinfomsg {
	uint8_t ifi_family, pad_;
	uint16_t ifi_type;
	int32_t ifi_index;
	uint32_t ifi_flags, ifi_change;
};
L_ASSERT_SIZE(struct l_ifinfomsg, 16);

#define L_IFLA_ADDRESS 1
#define L_IFLA_BROADCAST 2
#define L_IFLA_IFNAME 3
#define L_IFLA_MTU 4
#define L_IFLA_QDISC 6
#define L_IFLA_STATS 7
#define L_IFLA_TXQLEN 13
#define L_IFLA_OPERSTATE 16
#define L_IFLA_LINKMODE 17
#define L_IFLA_STATS64 23
#define L_IFLA_GROUP 27
#define L_IFLA_EXT_MASK 29
#define L_IFLA_PROMISCUITY 30
#define L_IFLA_NUM_TX_QUEUES 31
#define L_IFLA_NUM_RX_QUEUES 32
#define L_IFLA_CARRIER 33

struct l_ifaddrmsg {
	uint8_t ifa_family, ifa_prefixlen, ifa_flags, ifa_scope;
	uint32_t ifa_index;
};
L_ASSERT_SIZE(struct l_ifaddrmsg, 8);

#define L_IFA_ADDRESS 1
#define L_IFA_LOCAL 2
#define L_IFA_LABEL 3
#define L_IFA_CACHEINFO 6
#define L_IFA_FLAGS 8
#define L_IFA_F_PERMANENT 0x80
#define L_IFA_F_NOPREFIXROUTE 0x200

struct l_ifa_cacheinfo {
	uint32_t ifa_prefered, ifa_valid, cstamp, tstamp;
};

struct l_rtmsg {
	uint8_t rtm_family, rtm_dst_len, rtm_src_len, rtm_tos, rtm_table, rtm_protocol, rtm_scope, rtm_type;
	uint32_t rtm_flags;
};
L_ASSERT_SIZE(struct l_rtmsg, 12);

#define L_RTA_DST 1
#define L_RTA_OIF 4
#define L_RTA_PRIORITY 6
#define L_RTA_PREFSRC 7
#define L_RTA_CACHEINFO 12
#define L_RTA_TABLE 15
#define L_RTA_PREF 20
#define L_RT_TABLE_LOCAL 255
#define L_RT_TABLE_MAIN 254
#define L_RT_TABLE_DEFAULT 253
#define L_RTPROT_KERNEL 2
#define L_RT_SCOPE_HOST 254
#define L_RT_SCOPE_LINK 253
#define L_RTN_UNICAST 1
#define L_RTN_LOCAL 2
#define L_RTN_BROADCAST 3
#define L_RTM_F_CLONED 0x200

struct l_fib_rule_hdr {
	uint8_t family, dst_len, src_len, tos, table, res1, res2, action;
	uint32_t flags;
};
L_ASSERT_SIZE(struct l_fib_rule_hdr, 12);

#define L_FRA_PRIORITY 6
#define L_FRA_TABLE 15
#define L_FR_ACT_TO_TBL 1

#endif
