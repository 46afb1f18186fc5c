/* Sockets: families, types, options, addresses, messages. */
#ifndef BAILEY_ABI_SOCKET_H
#define BAILEY_ABI_SOCKET_H

#include "abi/time.h"
#include "abi/types.h"

#define L_AF_UNSPEC 0
#define L_AF_UNIX 1
#define L_AF_LOCAL 1
#define L_AF_INET 2
#define L_AF_INET6 10
#define L_AF_NETLINK 16
#define L_AF_PACKET 17
#define L_AF_ALG 38
#define L_AF_VSOCK 40
#define L_AF_MAX 46

#define L_SOCK_STREAM 1
#define L_SOCK_DGRAM 2
#define L_SOCK_RAW 3
#define L_SOCK_RDM 4
#define L_SOCK_SEQPACKET 5
#define L_SOCK_DCCP 6
#define L_SOCK_PACKET 10
#define L_SOCK_TYPE_MASK 0xf
#define L_SOCK_CLOEXEC 02000000
#define L_SOCK_NONBLOCK 04000

#define L_IPPROTO_IP 0
#define L_IPPROTO_ICMP 1
#define L_IPPROTO_TCP 6
#define L_IPPROTO_UDP 17
#define L_IPPROTO_IPV6 41
#define L_IPPROTO_ICMPV6 58
#define L_IPPROTO_RAW 255

#define L_SHUT_RD 0
#define L_SHUT_WR 1
#define L_SHUT_RDWR 2
#define L_SOMAXCONN 4096

#define L_MSG_OOB 0x01
#define L_MSG_PEEK 0x02
#define L_MSG_DONTROUTE 0x04
#define L_MSG_CTRUNC 0x08
#define L_MSG_PROBE 0x10
#define L_MSG_TRUNC 0x20
#define L_MSG_DONTWAIT 0x40
#define L_MSG_EOR 0x80
#define L_MSG_WAITALL 0x100
#define L_MSG_FIN 0x200
#define L_MSG_SYN 0x400
#define L_MSG_CONFIRM 0x800
#define L_MSG_RST 0x1000
#define L_MSG_ERRQUEUE 0x2000
#define L_MSG_NOSIGNAL 0x4000
#define L_MSG_MORE 0x8000
#define L_MSG_WAITFORONE 0x10000
#define L_MSG_BATCH 0x40000
#define L_MSG_ZEROCOPY 0x4000000
#define L_MSG_FASTOPEN 0x20000000
#define L_MSG_CMSG_CLOEXEC 0x40000000

#define L_SOL_SOCKET 1
#define L_SOL_IP 0
#define L_SOL_TCP 6
#define L_SOL_UDP 17
#define L_SOL_IPV6 41
#define L_SOL_RAW 255
#define L_SOL_PACKET 263
#define L_SOL_NETLINK 270

#define L_SO_DEBUG 1
#define L_SO_REUSEADDR 2
#define L_SO_TYPE 3
#define L_SO_ERROR 4
#define L_SO_DONTROUTE 5
#define L_SO_BROADCAST 6
#define L_SO_SNDBUF 7
#define L_SO_RCVBUF 8
#define L_SO_KEEPALIVE 9
#define L_SO_OOBINLINE 10
#define L_SO_NO_CHECK 11
#define L_SO_PRIORITY 12
#define L_SO_LINGER 13
#define L_SO_BSDCOMPAT 14
#define L_SO_REUSEPORT 15
#define L_SO_PASSCRED 16
#define L_SO_PEERCRED 17
#define L_SO_RCVLOWAT 18
#define L_SO_SNDLOWAT 19
#define L_SO_RCVTIMEO 20
#define L_SO_SNDTIMEO 21
#define L_SO_BINDTODEVICE 25
#define L_SO_ATTACH_FILTER 26
#define L_SO_DETACH_FILTER 27
#define L_SO_PEERNAME 28
#define L_SO_TIMESTAMP 29
#define L_SO_ACCEPTCONN 30
#define L_SO_PEERSEC 31
#define L_SO_SNDBUFFORCE 32
#define L_SO_RCVBUFFORCE 33
#define L_SO_PASSSEC 34
#define L_SO_TIMESTAMPNS 35
#define L_SO_MARK 36
#define L_SO_TIMESTAMPING 37
#define L_SO_PROTOCOL 38
#define L_SO_DOMAIN 39
#define L_SO_RXQ_OVFL 40
#define L_SO_WIFI_STATUS 41
#define L_SO_PEEK_OFF 42
#define L_SO_NOFCS 43
#define L_SO_LOCK_FILTER 44
#define L_SO_SELECT_ERR_QUEUE 45
#define L_SO_BUSY_POLL 46
#define L_SO_MAX_PACING_RATE 47
#define L_SO_BPF_EXTENSIONS 48
#define L_SO_INCOMING_CPU 49
#define L_SO_MEMINFO 55
#define L_SO_INCOMING_NAPI_ID 56
#define L_SO_COOKIE 57
#define L_SO_CNX_ADVICE 53
#define L_SO_PEERGROUPS 59
#define L_SO_ZEROCOPY 60
#define L_SO_TIMESTAMP_NEW 63
#define L_SO_TIMESTAMPNS_NEW 64
#define L_SO_DETACH_REUSEPORT_BPF 68
#define L_SO_NETNS_COOKIE 71
#define L_SO_BUF_LOCK 72
#define L_SO_TXREHASH 74
#define L_SO_RCVMARK 75
#define L_SO_DEVMEM_DONTNEED 80
#define L_SO_RCVPRIORITY 82
#define L_SO_RCVTIMEO_NEW 66
#define L_SO_SNDTIMEO_NEW 67
#define L_SO_PASSPIDFD 76
#define L_SO_PEERPIDFD 77
#define L_SO_PASSRIGHTS 83

#define L_TCP_NODELAY 1
#define L_TCP_MAXSEG 2
#define L_TCP_CORK 3
#define L_TCP_KEEPIDLE 4
#define L_TCP_KEEPINTVL 5
#define L_TCP_KEEPCNT 6
#define L_TCP_SYNCNT 7
#define L_TCP_LINGER2 8
#define L_TCP_DEFER_ACCEPT 9
#define L_TCP_WINDOW_CLAMP 10
#define L_TCP_INFO 11
#define L_TCP_QUICKACK 12
#define L_TCP_CONGESTION 13
#define L_TCP_USER_TIMEOUT 18
#define L_TCP_FASTOPEN 23
#define L_TCP_NOTSENT_LOWAT 25

#define L_IP_TOS 1
#define L_IP_TTL 2
#define L_IP_HDRINCL 3
#define L_IP_OPTIONS 4
#define L_IP_RECVOPTS 6
#define L_IP_PKTINFO 8
#define L_IP_MTU_DISCOVER 10
#define L_IP_RECVERR 11
#define L_IP_RECVTTL 12
#define L_IP_RECVTOS 13
#define L_IP_MTU 14
#define L_IP_FREEBIND 15
#define L_IP_TRANSPARENT 19
#define L_IP_RECVORIGDSTADDR 20
#define L_IP_MINTTL 21
#define L_IP_BIND_ADDRESS_NO_PORT 24
#define L_IP_MULTICAST_IF 32
#define L_IP_MULTICAST_TTL 33
#define L_IP_MULTICAST_LOOP 34
#define L_IP_ADD_MEMBERSHIP 35
#define L_IP_DROP_MEMBERSHIP 36
#define L_IP_MULTICAST_ALL 49
#define L_IPV6_UNICAST_HOPS 16
#define L_IPV6_MULTICAST_IF 17
#define L_IPV6_MULTICAST_HOPS 18
#define L_IPV6_MULTICAST_LOOP 19
#define L_IPV6_MTU_DISCOVER 23
#define L_IPV6_MTU 24
#define L_IPV6_RECVERR 25
#define L_IPV6_ADD_MEMBERSHIP 20
#define L_IPV6_DROP_MEMBERSHIP 21
#define L_IPV6_V6ONLY 26
#define L_IPV6_MULTICAST_ALL 29
#define L_IPV6_RECVPKTINFO 49
#define L_IPV6_PKTINFO 50
#define L_IPV6_RECVHOPLIMIT 51
#define L_IPV6_HOPLIMIT 52
#define L_IPV6_RECVTCLASS 66
#define L_IPV6_TCLASS 67

#define L_SCM_RIGHTS 1
#define L_SCM_CREDENTIALS 2
#define L_SCM_SECURITY 3
#define L_SCM_PIDFD 4
#define L_SCM_MAX_FD 253

struct l_sockaddr {
	uint16_t sa_family;
	uint8_t sa_data[14];
};
L_ASSERT_SIZE(struct l_sockaddr, 16);

struct l_sockaddr_storage {
	uint16_t ss_family;
	uint8_t data_[126];
} __attribute__((aligned(8)));
L_ASSERT_SIZE(struct l_sockaddr_storage, 128);

#define L_UNIX_PATH_MAX 108
struct l_sockaddr_un {
	uint16_t sun_family;
	char sun_path[L_UNIX_PATH_MAX];
};
L_ASSERT_SIZE(struct l_sockaddr_un, 110);

struct l_sockaddr_in {
	uint16_t sin_family;
	uint16_t sin_port; /* big-endian */
	uint32_t sin_addr; /* big-endian */
	uint8_t pad_[8];
};
L_ASSERT_SIZE(struct l_sockaddr_in, 16);

struct l_sockaddr_in6 {
	uint16_t sin6_family;
	uint16_t sin6_port; /* big-endian */
	uint32_t sin6_flowinfo;
	uint8_t sin6_addr[16];
	uint32_t sin6_scope_id;
};
L_ASSERT_SIZE(struct l_sockaddr_in6, 28);

struct l_sockaddr_nl {
	uint16_t nl_family;
	uint16_t pad_;
	uint32_t nl_pid;
	uint32_t nl_groups;
};
L_ASSERT_SIZE(struct l_sockaddr_nl, 12);

struct l_in_pktinfo {
	int32_t ipi_ifindex;
	uint32_t ipi_spec_dst; /* big-endian, as is the next */
	uint32_t ipi_addr;
};
L_ASSERT_SIZE(struct l_in_pktinfo, 12);

struct l_in6_pktinfo {
	uint8_t ipi6_addr[16];
	uint32_t ipi6_ifindex;
};
L_ASSERT_SIZE(struct l_in6_pktinfo, 20);

struct l_ip_mreqn {
	uint32_t imr_multiaddr; /* big-endian, as is the next */
	uint32_t imr_address;
	int32_t imr_ifindex;
};
L_ASSERT_SIZE(struct l_ip_mreqn, 12);

struct l_ipv6_mreq {
	uint8_t ipv6mr_multiaddr[16];
	int32_t ipv6mr_ifindex;
};
L_ASSERT_SIZE(struct l_ipv6_mreq, 20);

/* What an interface is asked by ioctl(2): netdevice(7). */
#define L_IFNAMSIZ 16
struct l_ifreq {
	char ifr_name[L_IFNAMSIZ];
	union {
		struct l_sockaddr ifr_addr;
		int32_t ifr_ivalue;
		int16_t ifr_flags;
		char ifr_newname[L_IFNAMSIZ];
		uint8_t ifr_map[24];
	};
};
L_ASSERT_SIZE(struct l_ifreq, 40);

struct l_ifconf {
	int32_t ifc_len; /* bytes */
	int32_t pad_;
	uint64_t ifc_buf; /* gva */
};
L_ASSERT_SIZE(struct l_ifconf, 16);

#define L_IFF_UP 0x1
#define L_IFF_LOOPBACK 0x8
#define L_IFF_RUNNING 0x40
#define L_IFF_LOWER_UP 0x10000
#define L_ARPHRD_LOOPBACK 772

struct l_tcp_info { /* as far as Linux 4.1 had it */
	uint8_t tcpi_state, tcpi_ca_state, tcpi_retransmits, tcpi_probes, tcpi_backoff, tcpi_options, tcpi_wscale, tcpi_limited;
	uint32_t tcpi_rto, tcpi_ato, tcpi_snd_mss, tcpi_rcv_mss; /* us, bytes */
	uint32_t tcpi_unacked, tcpi_sacked, tcpi_lost, tcpi_retrans, tcpi_fackets;
	uint32_t tcpi_last_data_sent, tcpi_last_ack_sent, tcpi_last_data_recv, tcpi_last_ack_recv; /* ms */
	uint32_t tcpi_pmtu, tcpi_rcv_ssthresh, tcpi_rtt, tcpi_rttvar, tcpi_snd_ssthresh, tcpi_snd_cwnd, tcpi_advmss, tcpi_reordering;
	uint32_t tcpi_rcv_rtt, tcpi_rcv_space, tcpi_total_retrans;
};
L_ASSERT_SIZE(struct l_tcp_info, 104);

struct l_ucred {
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
};
L_ASSERT_SIZE(struct l_ucred, 12);

struct l_linger {
	int32_t l_onoff;
	int32_t l_linger; /* s */
};
L_ASSERT_SIZE(struct l_linger, 8);

struct l_msghdr {
	uint64_t msg_name; /* gva */
	int32_t msg_namelen;
	int32_t pad0_;
	uint64_t msg_iov; /* gva */
	uint64_t msg_iovlen;
	uint64_t msg_control; /* gva */
	uint64_t msg_controllen;
	uint32_t msg_flags;
	uint32_t pad1_;
};
L_ASSERT_SIZE(struct l_msghdr, 56);
L_ASSERT_OFFSET(struct l_msghdr, msg_flags, 48);

struct l_mmsghdr {
	struct l_msghdr msg_hdr;
	uint32_t msg_len;
	uint32_t pad_;
};
L_ASSERT_SIZE(struct l_mmsghdr, 64);

struct l_cmsghdr {
	uint64_t cmsg_len; /* this header included */
	int32_t cmsg_level;
	int32_t cmsg_type;
};
L_ASSERT_SIZE(struct l_cmsghdr, 16);
#define L_CMSG_ALIGN(len) (((len) + 7ull) & ~7ull)

#endif
