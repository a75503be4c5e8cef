/* SPDX-License-Identifier: ISC */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "mail/mime.h"

static struct str keep_exactly(const char *text, size_t n)
{
	char *p = malloc(n > 0 ? n : 1); /* no NUL behind it: a read too far is seen */
	assert_non_null(p);
	if (n > 0)
		memcpy(p, text, n);
	return (struct str){ p, n };
}

/* Each part as "type{body}", or "type<name>{body}", '!' where it cannot be decoded; how it ended is told behind. */
static void tell(struct buf *out, struct str message)
{
	struct mime m;
	struct mime_part part;
	struct why why = { "" };
	fault f;
	mime_begin(&m, message);
	while ((f = mime_next(&m, &part, &why)) == OK) {
		bool named = part.name.n > 0;
		assert_int_equal(buf_addf(out, "%.*s%s%.*s%s{", STR_ARG(part.type), named ? "<" : "", (int)part.name.n, part.name.text,
		                          named ? ">" : ""), OK);
		assert_int_equal(mime_decode(out, &part, &why) == OK ? buf_add_char(out, '}') : buf_add(out, STR("!}")), OK);
	}
	assert_int_equal(buf_addf(out, "%s", f == F_ABSENT ? "." : why.text), OK);
	assert_int_equal(mime_next(&m, &part, &why), F_ABSENT);
}

static void with_crlf(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		assert_int_equal(text.p[i] == '\n' ? buf_add(out, STR("\r\n")) : buf_add_char(out, text.p[i]), OK);
}

/* What is told without its CRs: bodies keep their line ends. */
static void without_cr(struct buf *told)
{
	size_t n = 0;
	for (size_t i = 0; i < buf_view(told).n; i++)
		if (told->base[told->head + i] != '\r')
			told->base[told->head + n++] = told->base[told->head + i];
	buf_cut(told, n);
}

#define MIXED "Content-Type: multipart/mixed; boundary=x\n\n"

static const struct { const char *message, *want; } cases[] = {
	{ "Subject: hi\n\nbody\n", "text/plain{body\n}." },
	{ "", "text/plain{}." },
	{ "\n\n", "text/plain{\n}." },
	{ "Subject: no body", "text/plain{}." },
	{ "no field at all\n\nx", "text/plain{x}." },
	{ "content-TYPE : a/b ; c=d\n\nx", "a/b{x}." },
	{ "Content-Type:\n application/tlsrpt+gzip\n\nx", "application/tlsrpt+gzip{x}." },
	{ "Content-Type: a/b\nContent-Type: c/d\n\nx", "a/b{x}." },
	{ "Content-Type: (a \\) (b)) a/b(c)\n\nx", "a/b{x}." },
	{ "Content-Type: (open a/b\n\nx", "{x}." },
	/* names of files */
	{ "Content-Type: a/b; name=\"c d\"\n\nx", "a/b<c d>{x}." },
	{ "Content-Type: a/b; charset=y; NAME=c!d.json.gz; name=e\n\nx", "a/b<c!d.json.gz>{x}." },
	{ "Content-Disposition: attachment; size=1;\n filename=\"c!\n d\\\"e\"\nContent-Type: a/b; name=f\n\nx", "a/b<c! d\"e>{x}." },
	{ "Content-Type: a/b; name=f\nContent-Disposition: inline; filename=c\nContent-Disposition: inline; filename=d\n\nx", "a/b<c>{x}." },
	{ "Content-Type: a/b; name=f\nContent-Disposition: attachment; filename=\"\"\n\nx", "a/b<f>{x}." },
	{ "Content-Disposition: filename=c\n\nx", "text/plain{x}." }, /* the first word is none of the parameters */
	{ "Content-Disposition: a; filename*=c; filename\n\nx", "text/plain{x}." },
	{ MIXED "--x\nContent-Disposition: a; filename=c\n\none\n--x\n\ntwo\n--x--", "text/plain<c>{one}text/plain{two}." },
	/* encodings */
	{ "Content-Transfer-Encoding: base64\n\naGVs\nbG8=\n", "text/plain{hello}." },
	{ "Content-Transfer-Encoding: BASE64\n\n  aGVs bG8=\t\n\n", "text/plain{hello}." },
	{ "Content-Transfer-Encoding: base64\n\naGVsbG8=aGVs\n", "text/plain{!}." },
	{ "Content-Transfer-Encoding: base64\n\naGVsbG8\n", "text/plain{!}." },
	{ "Content-Transfer-Encoding: base64\n\naGVs-bG8=\n", "text/plain{!}." },
	{ "Content-Transfer-Encoding: quoted-printable\n\na=3Db =\nc \n=7b=7D\n", "text/plain{a=b c\n{}\n}." },
	{ "Content-Transfer-Encoding: quoted-printable\n\na=3", "text/plain{!}." },
	{ "Content-Transfer-Encoding: quoted-printable\n\na=zz", "text/plain{!}." },
	{ "Content-Transfer-Encoding: quoted-printable\n\na=", "text/plain{a}." },
	{ "Content-Transfer-Encoding: 8bit\n\nx", "text/plain{x}." },
	{ "Content-Transfer-Encoding: x-uuencode\n\nx", "text/plain{!}." },
	/* multiparts */
	{ MIXED "preamble\n--x\n\none\n--x\nContent-Type: a/b\n\ntwo\n--x--\nepilogue\n", "text/plain{one}a/b{two}." },
	{ MIXED "--x\n\none\n\n--x--", "text/plain{one\n}." },
	{ MIXED "--x\n\n--x\n\n--x--", "text/plain{}text/plain{}." },
	{ MIXED "--x\nContent-Type: a/b\n--x--", "a/b{}." },
	{ MIXED "--x \t\n\none\n--x-- \n", "text/plain{one}." },
	{ MIXED "--xy\n\nnot\n--x\n\none\n--x-\n-- x\n --x\n--x--", "text/plain{one\n--x-\n-- x\n --x}." },
	{ MIXED "--x\n\none", "text/plain{one}." },                  /* no end */
	{ MIXED "nothing ever begins", "." },
	{ MIXED "--x--\n--x\n\nlate", "." },
	{ "Content-Type: multipart/mixed\n\n--x\n\none\n--x--", "multipart/mixed{--x\n\none\n--x--}." },
	{ "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\none\n----", "multipart/mixed{--\n\none\n----}." },
	{ "Content-Type: multipart/report; report-type=\"tls;rpt\"; x; boundary=(c)\n \"a \\\"b\"\n\n--a \"b\n\none\n--a \"b--",
	  "text/plain{one}." },
	/* inside each other: the outer boundary ends the inner parts */
	{ MIXED "--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\none\n--y--\nz\n--x\n\ntwo\n--x--", "text/plain{one}text/plain{two}." },
	{ MIXED "--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\none\n--x\n\ntwo\n--y\n--x--", "text/plain{one}text/plain{two\n--y}." },
	{ MIXED "--x\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x--\n--x\n\ntwo\n--x--", "text/plain{one}text/plain{two}." },
	{ MIXED "--x\nContent-Type: message/rfc822\n\nSubject: s\nContent-Type: a/b\n\none\n--x\n\ntwo\n--x--", "a/b{one}text/plain{two}." },
	{ "Content-Type: message/rfc822\n\n" MIXED "--x\n\none\n--x--", "text/plain{one}." },
};

static void parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (int crlf = 0; crlf <= 1; crlf++) {
			struct buf text, told;
			buf_init(&text, 1 << 16);
			buf_init(&told, 1 << 16);
			if (crlf)
				with_crlf(&text, str_of(cases[i].message));
			else
				assert_int_equal(buf_add(&text, str_of(cases[i].message)), OK);
			struct str message = keep_exactly(buf_view(&text).p, buf_view(&text).n);
			tell(&told, message);
			without_cr(&told);
			if (!str_eq(buf_view(&told), str_of(cases[i].want)))
				fail_msg("%s: %.*s", cases[i].message, STR_ARG(buf_view(&told)));
			free((char *)(uintptr_t)message.p);
			buf_fini(&text);
			buf_fini(&told);
		}
}

/* A message that is cut anywhere has no more parts than the whole one has, and each lies in it. */
static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t n = 0; n <= strlen(cases[i].message); n++) {
			struct mime whole, m;
			struct mime_part part;
			struct why why = { "" };
			size_t seen = 0, most = 0;
			struct str text = keep_exactly(cases[i].message, n);
			mime_begin(&whole, str_of(cases[i].message));
			while (mime_next(&whole, &part, &why) == OK)
				most++;
			mime_begin(&m, text);
			while (mime_next(&m, &part, &why) == OK) {
				seen++;
				assert_true(part.body.n == 0 || (part.body.p >= text.p && part.body.p + part.body.n <= text.p + text.n));
			}
			if (seen > most + 1)
				fail_msg("%zu parts of %s, cut at %zu", seen, cases[i].message, n);
			free((char *)(uintptr_t)text.p);
		}
}

/* MIME_DEPTH_MAX */
static void depth_is_bounded(void **state)
{
	(void)state;
	for (int more = 0; more <= 1; more++) {
		struct buf text, told;
		buf_init(&text, 1 << 16);
		buf_init(&told, 1 << 16);
		for (int i = 0; i < MIME_DEPTH_MAX + more; i++)
			assert_int_equal(buf_addf(&text, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i), OK);
		assert_int_equal(buf_addf(&text, "\ndeep\n"), OK);
		tell(&told, buf_view(&text));
		assert_str(buf_view(&told), more ? "the message has more than 8 parts inside each other" : "text/plain{deep\n}.");
		buf_fini(&text);
		buf_fini(&told);
	}
}

/* MIME_PARTS_MAX: headers, those of what encloses others too. */
static void parts_are_bounded(void **state)
{
	(void)state;
	for (int inside = 0; inside <= 1; inside++)
		for (int more = 0; more <= 1; more++) {
			struct mime m;
			struct mime_part part;
			struct why why = { "" };
			struct buf text;
			size_t n = 0;
			fault f;
			buf_init(&text, 1 << 16);
			assert_int_equal(buf_addf(&text, inside ? "" : MIXED), OK);
			for (int i = 1; i < MIME_PARTS_MAX + more; i++)
				assert_int_equal(buf_addf(&text, inside ? "Content-Type: message/rfc822\n\n" : "--x\n\n"), OK);
			mime_begin(&m, buf_view(&text));
			while ((f = mime_next(&m, &part, &why)) == OK)
				n++;
			assert_int_equal(f, more ? F_LIMIT : F_ABSENT);
			assert_int_equal(n, inside ? 1 - more : MIME_PARTS_MAX - 1);
			assert_int_equal(why.text[0] != '\0', more);
			buf_fini(&text);
		}
}

/* MIME_BOUNDARY_MAX */
static void boundaries_are_bounded(void **state)
{
	(void)state;
	for (int quoted = 0; quoted <= 1; quoted++)
		for (int more = 0; more <= 1; more++) {
			struct buf text, told;
			const char *quote = quoted ? "\"" : "";
			buf_init(&text, 1 << 16);
			buf_init(&told, 1 << 16);
			assert_int_equal(buf_addf(&text, "Content-Type: multipart/mixed; boundary=%s%0*d%s\n\n--%0*d\n\none", quote,
			                          MIME_BOUNDARY_MAX + more, 0, quote, MIME_BOUNDARY_MAX + more, 0), OK);
			tell(&told, buf_view(&text));
			assert_true(str_starts(buf_view(&told), more ? STR("multipart/mixed{") : STR("text/plain{one}.")));
			buf_fini(&text);
			buf_fini(&told);
		}
}

/* MIME_NAME_MAX */
static void names_are_bounded(void **state)
{
	(void)state;
	static const char *const heads[] = {
		"Content-Type: a/b; name=%s%0*d%s\n\nx", "Content-Type: a/b\nContent-Disposition: attachment; filename=%s%0*d%s\n\nx",
	};
	for (size_t i = 0; i < 2 * COUNT(heads); i++)
		for (int more = 0; more <= 1; more++) {
			struct mime m;
			struct mime_part part;
			struct why why = { "" };
			struct buf text;
			const char *quote = i % 2 == 0 ? "\"" : "";
			buf_init(&text, 1 << 16);
			assert_int_equal(buf_addf(&text, heads[i / 2], quote, MIME_NAME_MAX + more, 0, quote), OK);
			mime_begin(&m, buf_view(&text));
			assert_int_equal(mime_next(&m, &part, &why), OK);
			assert_int_equal(part.name.n, more ? 0 : MIME_NAME_MAX);
			assert_true(str_eq(part.type, STR("a/b")));
			buf_fini(&text);
		}
}

/* What is decoded fits, or nothing of it is kept. */
static void room_is_bounded(void **state)
{
	(void)state;
	static const enum mime_encoding encodings[] = { MIME_AS_IT_IS, MIME_BASE64, MIME_QUOTED_PRINTABLE };
	for (size_t i = 0; i < COUNT(encodings); i++)
		for (size_t less = 0; less <= 1; less++) {
			struct mime_part part = { .type = STR("a/b"), .encoding = encodings[i], .body = STR("aGVsbG8h") };
			size_t n = encodings[i] == MIME_BASE64 ? 6 : 8;
			struct why why = { "" };
			struct buf out;
			buf_init(&out, 1 + n - less);
			assert_int_equal(buf_add_char(&out, '-'), OK);
			assert_int_equal(mime_decode(&out, &part, &why), less ? F_LIMIT : OK);
			assert_int_equal(buf_view(&out).n, less ? 1 : 1 + n);
			buf_fini(&out);
		}
}

/* Base64 of every length around the steps in which it is decoded, in lines. */
static void long_base64(void **state)
{
	(void)state;
	for (size_t n = 3 * 1024 - 4; n < 3 * 1024 + 5; n++) {
		struct buf plain, text, back;
		struct why why = { "" };
		buf_init(&plain, 1 << 16);
		buf_init(&text, 1 << 16);
		buf_init(&back, 1 << 16);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf_add_char(&plain, (char)(i * 7)), OK);
		assert_int_equal(base64_put(&back, buf_view(&plain)), OK);
		for (struct str rest = buf_view(&back); rest.n > 0; rest = str_from(rest, 76))
			assert_int_equal(buf_addf(&text, "%.*s\r\n", STR_ARG(str_sub(rest, 0, 76))), OK);
		buf_clear(&back);
		struct mime_part part = { .type = STR("a/b"), .encoding = MIME_BASE64, .body = buf_view(&text) };
		assert_int_equal(mime_decode(&back, &part, &why), OK);
		assert_true(str_eq(buf_view(&back), buf_view(&plain)));
		/* Whatever follows the padding is wrong, also in the next step. */
		assert_int_equal(buf_add(&text, STR("aGVs")), OK);
		part.body = buf_view(&text);
		buf_clear(&back);
		assert_int_equal(mime_decode(&back, &part, &why), n % 3 == 0 ? OK : F_SYNTAX);
		buf_fini(&plain);
		buf_fini(&text);
		buf_fini(&back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(parts_are_bounded),
		cmocka_unit_test(boundaries_are_bounded),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(room_is_bounded),
		cmocka_unit_test(long_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
