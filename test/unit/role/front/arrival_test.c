/* SPDX-License-Identifier: ISC */
/* How clients arrive: in clear, under TLS, behind a proxy, too many at a time. */
#include "unit.h"

#include "scene.h"

#include <stdio.h>

/* As in role/front/front.h, which is the role's own. */
enum { SHAKING_NETWORK = 16, HALF_HELLOS = 80 };

static void plain_text_on_a_tls_port_is_told_so(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_say(&c, "EHLO client.example");
	client_hear(&c, "554 5.7.0 This port expects TLS from the first byte: choose SSL/TLS in the client, or port 587 for STARTTLS");
	client_hear_end(&c);
}

static void tls_on_a_plain_port_is_told_so(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_SUBMISSION);
	client_hear(&c, "220 ");
	client_send(&c, STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
	client_hear(&c, "554 This port starts in clear text: choose STARTTLS in the client, or port 465 for SSL/TLS");
	client_hear_end(&c);
}

static void bytes_behind_starttls_end_the_session(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_send(&c, STR("STARTTLS\r\nEHLO injected.example\r\n"));
	client_hear(&c, "554 5.5.0");
	client_hear_end(&c);
}

static void starttls_forgets_everything(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hello(&c);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "STARTTLS", "220 2.0.0");
	client_start_tls(&c);
	client_talk(&c, "RCPT TO:<jada@example.org>", "503");
	client_talk(&c, "EHLO client.example", "250 LIMITS");
	give_letter("a@x.example", "jada@example.org", "Subject: x\r\n\r\nhi", "250 2.0.0");
	expect_in(&h.envelope, "with<ESMTPS>");
}

static void all_connections_together_have_a_ceiling(void **state)
{
	struct client two;
	(void)state;
	house_configure(&h, "limits {\n connections 1\n}\n");
	client_open(&c, &h, LISTENER_LOCAL);
	client_hear(&c, "220");
	client_open(&two, &h, LISTENER_MX);
	client_hear(&two, "421 4.3.2 Too many connections");
	client_hear_end(&two);
	client_close(&two);
}

static void connections_have_a_ceiling(void **state)
{
	struct client two, three;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 2\n}\n");
	client_open(&c, &h, LISTENER_MX);
	client_hear(&c, "220");
	client_open(&two, &h, LISTENER_MX);
	client_hear(&two, "220");
	client_open(&three, &h, LISTENER_MX);
	client_hear(&three, "421");
	client_hear_end(&three);
	client_close(&three);
	client_close(&two);
	house_turn(&h, 20);
	client_open(&three, &h, LISTENER_MX);
	client_hear(&three, "220");
	client_close(&three);
}

/* CVE-2026-45185: a close_notify inside BDAT, then a byte in clear. */
static void the_end_of_tls_is_the_end(void **state)
{
	(void)state;
	log_in(LISTENER_SUBMISSIONS);
	client_talk(&c, "MAIL FROM:<jada@example.org>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_send(&c, STR("BDAT 100\r\nabc"));
	house_turn(&h, 10);
	client_end_tls(&c);
	client_send(&c, STR("x"));
	house_wait(&h, &c.closed);
	assert_int_equal(h.aborted, 1);
	assert_int_equal(h.stored, 0);
}

/* Half a hello takes no slot, however many there are: somebody else shakes hands at once. */
static void attack_62_half_a_hello_keeps_nobody_waiting(void **state)
{
	static struct client half[HALF_HELLOS];
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1000\n}\n");
	for (size_t i = 0; i < HALF_HELLOS; i++) {
		client_open_clear(&half[i], &h, LISTENER_SUBMISSIONS);
		client_send(&half[i], STR("\x16\x03\x01\x02\x00\x01"));
		house_turn(&h, 1); /* the listener's queue is short */
	}
	while (house_status(&h, "sessions") < HALF_HELLOS)
		house_turn(&h, 1);
	assert_int_equal(house_status(&h, "handshakes") + house_status(&h, "late_handshakes"), 0);
	client_open(&c, &h, LISTENER_SUBMISSIONS);
	client_hello(&c);
	for (size_t i = 0; i < HALF_HELLOS; i++)
		client_close(&half[i]);
}

/* Whole hellos and then silence, from one network: it gets its share of the slots, and others theirs. */
static void attack_62_a_network_has_its_share_of_the_handshakes(void **state)
{
	static struct client mute[SHAKING_NETWORK + 20];
	char from[32];
	uint64_t most = 0;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1000\n}\n");
	for (size_t i = 0; i < COUNT(mute); i++) {
		(void)snprintf(from, sizeof from, "127.0.0.%zu:0", i + 1);
		client_open_from(&mute[i], &h, LISTENER_SUBMISSIONS, from);
		client_begin_tls(&mute[i]);
		client_fall_silent(&mute[i]);
		uint64_t now = house_status(&h, "handshakes");
		most = now > most ? now : most;
	}
	while (house_status(&h, "sessions") < COUNT(mute)) {
		uint64_t now = house_status(&h, "handshakes");
		most = now > most ? now : most;
	}
	assert_int_equal(most, SHAKING_NETWORK);
	client_open_from(&c, &h, LISTENER_SUBMISSIONS, "127.0.1.1:0");
	client_start_tls(&c);
	client_hello(&c);
	for (size_t i = 0; i < COUNT(mute); i++)
		client_close(&mute[i]);
}

/* Its slot is lent for a second; who answers later is served all the same. */
static void a_late_handshake_gives_its_slot_back(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_begin_tls(&c);
	client_fall_silent(&c);
	while (house_status(&h, "handshakes") == 0)
		house_turn(&h, 1);
	while (house_status(&h, "late_handshakes") == 0)
		house_turn(&h, 10);
	assert_int_equal(house_status(&h, "handshakes"), 0);
	stream_want_read(c.stream, true);
	client_wait_tls(&c);
	client_hello(&c);
	assert_int_equal(house_status(&h, "late_handshakes"), 0);
}

/* ---- behind a proxy ---- */

#define PROXIED "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02"        /* 192.0.2. ... */
#define TO_US "\x7f\x00\x00\x01\x12\x34\x00\x19"
static const char proxy_at[] = "127.0.9.9:0";

/* From there, and then: text of its own length. */
static void open_proxied(struct client *to, int listener, struct str bytes)
{
	client_open_from(to, &h, listener, proxy_at);
	client_send(to, bytes);
}

static void the_client_is_whom_the_proxy_names(void **state)
{
	struct client second, other;
	(void)state;
	house_configure(&h, "limits {\n connections-per-client 1\n}\n");
	open_proxied(&c, LISTENER_MX, STR(PROXIED "\x4d" TO_US));
	client_hello(&c);
	open_proxied(&second, LISTENER_MX, STR(PROXIED "\x4d" TO_US));
	client_hear(&second, "421 Too many connections from your address");
	client_hear_end(&second);
	client_close(&second);
	open_proxied(&other, LISTENER_MX, STR(PROXIED "\x4e" TO_US));
	client_hello(&other);
	client_close(&other);
	client_talk(&c, "MAIL FROM:<a@x.example>", "250");
	client_talk(&c, "RCPT TO:<jada@example.org>", "250");
	client_talk(&c, "DATA", "354");
	client_talk(&c, "Subject: x\r\n\r\nhi\r\n.", "250 2.0.0");
	expect_in(&h.content, "[192.0.2.77]");
	expect_not_in(&h.content, "127.0.9.9");
}

static void a_proxy_may_look_whether_we_live(void **state)
{
	(void)state;
	open_proxied(&c, LISTENER_MX, STR("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"));
	client_hello(&c);
}

/* TLS begins behind the header, in the same segment or in another. */
static void tls_behind_a_proxy(void **state)
{
	(void)state;
	open_proxied(&c, LISTENER_SUBMISSIONS, STR(PROXIED "\x4d" TO_US));
	client_start_tls(&c);
	client_hello(&c);
	client_login(&c);
}

/* What a proxy must not say: each ends the connection without a word. */
static void attack_25_a_proxy_says_a_header_or_nothing(void **state)
{
	(void)state;
	static const struct str wrong[] = {
		{ "EHLO client.example\r\n", 21 },
		{ "PROXY TCP4 192.0.2.1 198.51.100.1 4660 25\r\n", 43 },
		{ "\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16 },
		{ "\r\n\r\n\0\r\nQUIT\n\x21\x12\x00\x0c", 16 },
		{ "\x16\x03\x01\x02\x00\x01", 6 },
	};
	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct client bad;
		open_proxied(&bad, i % 2 ? LISTENER_SUBMISSIONS : LISTENER_MX, wrong[i]);
		client_hear_end(&bad);
		client_close(&bad);
	}
	/* What comes behind its header is the client's. */
	open_proxied(&c, LISTENER_MX, STR(PROXIED "\x4d" TO_US "\x16\x03\x01\x02\x00\x01"));
	client_hear(&c, "220");
	client_hear(&c, "554 This port starts in clear text");
}

/* From any other address the header is so much noise. */
static void attack_25_nobody_else_is_a_proxy(void **state)
{
	(void)state;
	client_open(&c, &h, LISTENER_MX);
	client_hear(&c, "220");
	client_send(&c, STR(PROXIED "\x4d" TO_US));
	client_say(&c, "");
	client_hear(&c, "500");
	struct client tls;
	client_open_clear(&tls, &h, LISTENER_SUBMISSIONS);
	client_send(&tls, STR(PROXIED "\x4d" TO_US));
	client_hear(&tls, "554 5.7.0 This port expects TLS");
	client_close(&tls);
}

static void a_broken_hello_gets_an_alert(void **state)
{
	(void)state;
	client_open_clear(&c, &h, LISTENER_SUBMISSIONS);
	client_send(&c, STR("\x16\x03\x01\x00\x05\x01\x00\x00\x01z")); /* whole, and nonsense */
	house_wait(&h, &c.closed);
	assert_true(buf_view(&c.heard).n == 0 || buf_view(&c.heard).p[0] == 0x15); /* an alert, no text */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_text_on_a_tls_port_is_told_so),
		TEST(tls_on_a_plain_port_is_told_so),
		TEST(bytes_behind_starttls_end_the_session),
		TEST(starttls_forgets_everything),
		TEST(all_connections_together_have_a_ceiling),
		TEST(connections_have_a_ceiling),
		TEST(the_end_of_tls_is_the_end),
		TEST(attack_62_half_a_hello_keeps_nobody_waiting),
		TEST(attack_62_a_network_has_its_share_of_the_handshakes),
		TEST(a_late_handshake_gives_its_slot_back),
		TEST(the_client_is_whom_the_proxy_names),
		TEST(a_proxy_may_look_whether_we_live),
		TEST(tls_behind_a_proxy),
		TEST(attack_25_a_proxy_says_a_header_or_nothing),
		TEST(attack_25_nobody_else_is_a_proxy),
		TEST(a_broken_hello_gets_an_alert),
	};
	return cmocka_run_group_tests_name("arrival at the front", tests, NULL, NULL);
}
