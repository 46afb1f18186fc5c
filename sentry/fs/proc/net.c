/*
 * /proc/net: the tables of a machine that has a loopback interface and nothing else.  Of sockets there are those of AF_UNIX, TCP and UDP.
 */
#include "sentry/fs/proc/internal.h"
#include "sentry/net/inet/inet.h"
#include "sentry/net/netlink/netlink.h"
#include "sentry/net/unix/unix.h"

#define TABLE(name, mode, text) PROC_FILE(name, mode, proc_show_text, .string = (text))

static const char dev[] =
	"Inter-|   Receive                                                |  Transmit\n"
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
	"compressed\n"
	"    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0"
	"          0\n";
static const char inet[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
			   "inode";
static const char raw[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
			  "inode ref pointer drops\n";
static const char datagram[] = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
			       "timeout inode ref pointer drops            \n";
static const char inet6[] =
	"  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
	"tm->when retrnsmt   uid  timeout inode\n";
static const char datagram6[] =
	"  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
	"tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

/* The header of tcp is padded to the width of its lines. */
static int show_tcp(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%-149s\n", inet);
	inet_show_tcp(out, L_AF_INET);
	return 0;
}

static int show_tcp6(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputs(inet6, out);
	inet_show_tcp(out, L_AF_INET6);
	return 0;
}

static int show_udp(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputs(datagram, out);
	inet_show_udp(out, L_AF_INET);
	return 0;
}

static int show_udp6(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputs(datagram6, out);
	inet_show_udp(out, L_AF_INET6);
	return 0;
}

static int show_netlink(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	netlink_show(out);
	return 0;
}

static int show_unix(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	unix_show(out);
	return 0;
}

static const struct proc_entry entries[] = {
	TABLE("arp", 0444, "IP address       HW type     Flags       HW address            Mask     Device\n"),
	TABLE("dev", 0444, dev),
	TABLE("icmp", 0444, raw),
	TABLE("if_inet6", 0444, "00000000000000000000000000000001 01 80 10 80       lo\n"),
	PROC_FILE("netlink", 0444, show_netlink),
	TABLE("packet", 0444, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
	TABLE("raw", 0444, raw),
	TABLE("raw6", 0444, datagram6),
	TABLE("route", 0444, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
			     "                                                       \n"),
	PROC_FILE("tcp", 0444, show_tcp),
	PROC_FILE("tcp6", 0444, show_tcp6),
	PROC_FILE("udp", 0444, show_udp),
	PROC_FILE("udp6", 0444, show_udp6),
	TABLE("udplite", 0444, datagram),
	TABLE("udplite6", 0444, datagram6),
	PROC_FILE("unix", 0444, show_unix),
};
const struct proc_dir proc_net_dir = {.entries = entries, .count = ARRAY_SIZE(entries)};
