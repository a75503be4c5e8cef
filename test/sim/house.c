/* SPDX-License-Identifier: ISC */
#include "house.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "disk.h"
#include "ledger.h"
#include "proto/sasl/credential.h"
#include "store/content_log.h"
#include "sys/file.h"
#include "sys/socket.h"
#include "tls/certificate.h"
#include "world.h"

enum { SEEN_MAX = 4096 };

static struct {
	char dir[64];
	EVP_PKEY *key;
	struct buf ca, chain, key_pem;
	char *seen[SEEN_MAX];   /* files in the Maildirs */
	size_t n_seen;
} house;

/* --- the peers' certificate: their key is at home, asked for directly --- */

static fault sign_at_home(void *owner, struct str key_id, struct str digest, unsigned padding, struct str message,
                          struct buf *signature_out)
{
	(void)owner;
	(void)key_id;
	(void)padding;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char name[32] = "";
	size_t n = 0;
	check(digest.n < sizeof name);
	memcpy(name, digest.p, digest.n);
	const unsigned char *bytes = (const unsigned char *)message.p;
	check(EVP_DigestSignInit(ctx, NULL, EVP_get_digestbyname(name), NULL, house.key) == 1);
	check(EVP_DigestSign(ctx, NULL, &n, bytes, message.n) == 1);
	unsigned char *to = (unsigned char *)buf_reserve(signature_out, n);
	check(to != NULL && EVP_DigestSign(ctx, to, &n, bytes, message.n) == 1);
	buf_filled(signature_out, n);
	EVP_MD_CTX_free(ctx);
	return OK;
}

void house_certify(void)
{
	const struct str names[] = { STR("mx1.sim.example"), STR("relay.corp.example") };
	struct why why = { "" };
	buf_init(&house.ca, 16 << 10);
	buf_init(&house.chain, 16 << 10);
	buf_init(&house.key_pem, 16 << 10);
	if (certificate_make(names, COUNT(names), &house.ca, &house.chain, &house.key_pem, &why) != OK)
		fprintf(stderr, "sim: %s\n", why.text);
	BIO *pem = BIO_new_mem_buf(buf_view(&house.key_pem).p, (int)buf_view(&house.key_pem).n);
	house.key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
	BIO_free(pem);
	check(house.key != NULL);
}

/* --- the files of a run --- */

/* The linker gives us the store's calls (meson.build): with segments as small as they may be, few letters fill several. */
fault __wrap_content_log_open(int directory, uint64_t segment_bytes, struct content_log **out, struct why *why);
fault __real_content_log_open(int directory, uint64_t segment_bytes, struct content_log **out, struct why *why);
fault __wrap_content_log_open(int directory, uint64_t segment_bytes, struct content_log **out, struct why *why)
{
	(void)segment_bytes;
	return __real_content_log_open(directory, SEGMENT_BYTES_MIN, out, why);
}

static void put_file(const char *name, struct str text)
{
	char path[128];
	int fd = -1;
	(void)snprintf(path, sizeof path, "%s/%s", house.dir, name);
	check(file_open(FILE_CWD, path, FILE_WRITE | FILE_CREATE, 0600, &fd, NULL) == OK);
	check(file_write(fd, text) == OK);
	fd_close(&fd);
}

static void put_users(void)
{
	static const char *const names[] = { "jada", "admin", "ann", "ben", "cleo" };
	struct buf text;
	struct credential credential;
	buf_init(&text, 8192);
	check(credential_make(STR("secret of jada"), 4096, STR("salt of the sea"), &credential) == OK);
	for (size_t i = 0; i < COUNT(names); i++)
		check(buf_addf(&text, "%s:", names[i]) == OK && credential_put(&text, &credential) == OK &&
		      buf_add_char(&text, '\n') == OK);
	put_file("users", buf_view(&text));
	buf_fini(&text);
}

static void put_configuration(void)
{
	struct buf text;
	buf_init(&text, 8192);
	check(buf_addf(&text,
	               "hostname mx1.sim.example\npostmaster admin@sim.example\n"
	               "tls mx1.sim.example {\n\tcert %s/crt\n\tkey %s/key\n}\n"
	               "users staff {\n\tsource file %s/users\n}\n"
	               "domain sim.example {\n\tusers staff\n\tdeliver maildir %s/mail/{local}\n}\n"
	               "domain lists.example {\n\trecipients any\n\tdeliver lmtp 203.0.113.9:24\n}\n"
	               "listen mx {\n\ton 192.0.2.1:25\n}\nlisten submissions {\n\ton 192.0.2.1:465\n\tauth staff\n}\n"
	               "listen lmtp {\n\ton 127.0.0.1:24\n}\n",
	               house.dir, house.dir, house.dir, house.dir) == OK);
	check(buf_addf(&text,
	               "relay corp {\n\thost relay.corp.example:465\n\ttls implicit verify\n\tca %s/ca\n"
	               "\tlogin mx1 file:%s/secret\n}\n"
	               "route {\n\tto corp.example relay corp\n\totherwise direct\n}\ndirect {\n\ttls opportunistic\n}\n"
	               "queue {\n\tretry 5m 15m 1h\n\tgive-up 9h\n\tdelay-warning 4h\n\tdirectory %s/queue\n}\n"
	               "control %s/control.sock\n",
	               house.dir, house.dir, house.dir, house.dir) == OK);
	put_file("conf", buf_view(&text));
	buf_fini(&text);
}

void house_begin(void)
{
	char path[128];
	disk_begin();
	(void)snprintf(house.dir, sizeof house.dir, "/house");
	check(directory_make(FILE_CWD, house.dir, 0700) == OK);
	(void)snprintf(path, sizeof path, "%s/mail", house.dir);
	check(directory_make(FILE_CWD, path, 0700) == OK);
	put_file("crt", buf_view(&house.chain));
	put_file("key", buf_view(&house.key_pem));
	put_file("ca", buf_view(&house.ca));
	put_file("secret", STR("secret of the relay\n"));
	put_users();
	put_configuration();
	medium_sync_everything(disk.medium); /* these lie there since yesterday */
}

/* --- the Maildirs --- */

static bool new_to_us(const char *path)
{
	for (size_t i = 0; i < house.n_seen; i++)
		if (strcmp(house.seen[i], path) == 0)
			return false;
	check(house.n_seen < SEEN_MAX);
	house.seen[house.n_seen++] = strdup(path);
	return true;
}

static void look_at_file(int at, const char *user, const char *folder, const char *name)
{
	char path[400], recipient[64];
	int fd = -1;
	struct buf text;
	struct str sender = STR_NONE, line, rest;
	(void)snprintf(path, sizeof path, "%s/%s/%s", user, folder, name);
	if (!new_to_us(path))
		return;
	buf_init(&text, 32 << 20);
	check(file_open(at, name, FILE_READ, 0, &fd, NULL) == OK && file_read_all(fd, &text) == OK);
	fd_close(&fd);
	rest = buf_view(&text);
	if (str_take_line(&rest, &line) && str_take_nocase(&line, STR("Return-Path: <")) &&
	    !str_take_until(&line, '>', &sender))
		sender = STR("?");
	(void)snprintf(recipient, sizeof recipient, "%s@sim.example", user);
	struct letter_rcpt *r = ledger_arrival(path, sender, str_of(recipient), buf_view(&text), false);
	if (r != NULL && ++r->copies > 1)
		ledger_violation("%s has its letter twice: a file's name should have met the first", recipient);
	buf_fini(&text);
}

static void look_into(const char *user, const char *folder)
{
	char path[256];
	int fd = -1;
	(void)snprintf(path, sizeof path, "%s/mail/%s/%s", house.dir, user, folder);
	if (directory_open(FILE_CWD, path, &fd, NULL) != OK)
		return;
	struct directory_reader *d = directory_read(fd);
	for (struct str name; directory_next(d, &name);)
		look_at_file(fd, user, folder, name.p);
	directory_close(&d);
	fd_close(&fd);
}

void house_look(void)
{
	static const char *const users[] = { "jada", "admin", "ann", "ben", "cleo" };
	for (size_t i = 0; i < COUNT(users); i++) {
		look_into(users[i], "new");
		look_into(users[i], "cur");
	}
}

/* Nobody takes mail out of these Maildirs, so what was there once is there at the end. */
void house_vanished(void)
{
	char path[600];
	for (size_t i = 0; i < house.n_seen; i++) {
		(void)snprintf(path, sizeof path, "%s/mail/%s", house.dir, house.seen[i]);
		if (disk_find(path) == 0)
			ledger_violation("%s has vanished from its Maildir", house.seen[i]);
	}
}

/* --- the rest --- */

const char *house_path(const char *name, char *to, size_t room)
{
	(void)snprintf(to, room, "%s/%s", house.dir, name);
	return to;
}

struct tls_server *house_peers(void)
{
	struct tls_signer signer = { .sign = sign_at_home, .owner = NULL };
	const struct str names[] = { STR("mx.example") };
	struct why why = { "" };
	struct tls_server *tls = tls_server_new(&signer, true);
	check(tls_server_add(tls, names, 1, buf_view(&house.chain), &why) == OK);
	return tls;
}

void house_end(void)
{
	for (size_t i = 0; i < house.n_seen; i++)
		free(house.seen[i]);
	house.n_seen = 0;
	disk_end();
}

void house_forget_certificate(void)
{
	buf_fini(&house.ca);
	buf_fini(&house.chain);
	buf_fini(&house.key_pem);
	EVP_PKEY_free(house.key);
}
