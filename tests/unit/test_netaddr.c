/*
 * test_netaddr: which addresses are this machine's or its link's, in all the ways to write them.
 */
#include "daemon/netaddr.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static bool
is_local(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return netaddr_is_local((struct sockaddr *)&v4);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
	return netaddr_is_local((struct sockaddr *)&v6);
}

START_TEST(local_addresses)
{
	static const char *const local[] = {"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.169.254",
	    "::1", "::", "fe80::1", "febf::1", "::ffff:127.0.0.1", "::ffff:169.254.1.1", "::ffff:0.0.0.0",
	    "::127.0.0.1", "64:ff9b::7f00:1"};
	static const char *const remote[] = {"126.255.255.255", "128.0.0.1", "1.0.0.0", "10.0.0.1", "192.168.1.1",
	    "169.253.1.1", "169.255.1.1", "2001:db8::1", "fec0::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
	    "64:ff9b:1::7f00:1"};

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		ck_assert_msg(is_local(local[i]), "%s", local[i]);
		ck_assert_msg(netaddr_host_is_local(local[i]), "%s", local[i]);
	}
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
		ck_assert_msg(!is_local(remote[i]), "%s", remote[i]);
		ck_assert_msg(!netaddr_host_is_local(remote[i]), "%s", remote[i]);
	}
}
END_TEST

START_TEST(loopback)
{
	static const char *const addresses[] = {
	    "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "::", "10.0.0.1", "::ffff:127.0.0.1"};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		bool is_v4 = inet_pton(AF_INET, addresses[i], &v4.sin_addr) == 1;

		if (!is_v4)
			ck_assert_int_eq(inet_pton(AF_INET6, addresses[i], &v6.sin6_addr), 1);
		ck_assert_int_eq(netaddr_is_loopback(is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6), i < 3);
	}
}
END_TEST

START_TEST(hosts)
{
	ck_assert(netaddr_host_is_local("[::1]"));
	ck_assert(netaddr_host_is_local("localhost"));
	ck_assert(netaddr_host_is_local("LocalHost."));
	ck_assert(netaddr_host_is_local("a.localhost"));
	ck_assert(netaddr_host_is_local("127.0.0.1."));
	ck_assert(!netaddr_host_is_local("localhost.example.org"));
	ck_assert(!netaddr_host_is_local("notlocalhost"));
	ck_assert(!netaddr_host_is_local("example.org"));
	ck_assert(!netaddr_host_is_local(""));
	ck_assert(!netaddr_host_is_local("[]"));
}
END_TEST

START_TEST(other_families)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	ck_assert(netaddr_is_local((struct sockaddr *)&address));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("netaddr");
	TCase *tcase = tcase_create("netaddr");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, local_addresses);
	tcase_add_test(tcase, loopback);
	tcase_add_test(tcase, hosts);
	tcase_add_test(tcase, other_families);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
