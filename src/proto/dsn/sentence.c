/* SPDX-License-Identifier: ISC */
/* dsn/sentence.c -- what a status code means to a person who has never heard of status codes. */
#include "proto/dsn/dsn.h"

#include "base/check.h"

enum { ANY = 0xffff };

struct row { uint16_t class, subject, detail; const char *sentence; };

/* The first row that fits wins: exact ones before those for a whole subject, those before a whole class. */
static const struct row rows[] = {
	/* addresses */
	{ 5, 1, 1, "There is no mailbox with this name. Check the spelling of the part before the @." },
	{ 5, 1, 2, "There is no mail server for this domain. Check the spelling of the part after the @." },
	{ 4, 1, 2, "The mail servers of this domain cannot be found at the moment." },
	{ 5, 1, 3, "The address is not written as addresses must be. Check it for signs that do not belong there." },
	{ 5, 1, 4, "The address fits more than one mailbox. Ask the recipient for the exact address." },
	{ 5, 1, 6, "The mailbox has moved, and its new address is not known. Ask the recipient another way." },
	{ 5, 1, 7, "Your own address was not understood by the other server. Check the sender address in your mail "
	           "program." },
	{ ANY, 1, 8, "The domain of your own address was not found by the other server. Check the sender address in "
	             "your mail program." },
	{ 5, 1, 10, "This domain has declared that it takes no mail at all. Check the address, or reach the recipient "
	            "another way." },
	/* mailboxes */
	{ 5, 2, 1, "The mailbox is switched off and takes no mail. Reach the recipient another way." },
	{ 4, 2, 1, "The mailbox is switched off or too busy at the moment." },
	{ ANY, 2, 2, "The mailbox is full. The recipient has to make room before mail can be delivered." },
	{ ANY, 2, 3, "The message is larger than this mailbox allows. Send a smaller one, or a link to the file." },
	{ ANY, 2, 4, "The address is a list, and the list could not be resolved. Tell whoever runs the list." },
	/* systems */
	{ ANY, 3, 1, "The other mail system has no room left. Try again later." },
	{ ANY, 3, 2, "The other mail system takes no messages at the moment. Try again later." },
	{ ANY, 3, 3, "The other mail system lacks something that this message needs." },
	{ ANY, 3, 4, "The message is larger than the other server allows. Send a smaller one, or a link to the file." },
	{ ANY, 3, 5, "A mail system on the way is not set up properly. Tell its postmaster." },
	/* the way there */
	{ ANY, 4, 1, "The mail server of this domain does not answer." },
	{ ANY, 4, 2, "The connection to the other mail server broke off." },
	{ ANY, 4, 3, "The name servers that know the way to this domain give no usable answer." },
	{ ANY, 4, 4, "There is no way to this domain: its mail servers cannot be found. Check the part after the @." },
	{ ANY, 4, 5, "A mail system on the way is overloaded. Try again later." },
	{ ANY, 4, 6, "The message went around in circles between mail servers and was stopped. Tell the postmaster." },
	{ 5, 4, 7, "The message could not be handed over within the time that we keep trying. Send it again later, or "
	           "reach the recipient another way." },
	{ 4, 4, 7, "The message could not be handed over so far." },
	/* the conversation */
	{ ANY, 5, 3, "The message has more recipients than the other server takes at once. Send it to fewer at a time." },
	/* content */
	{ ANY, 6, 1, "The other server does not take this kind of content. Send it in another form." },
	{ ANY, 6, 3, "The other server cannot carry a message with 8-bit text. Have your mail program encode it "
	             "(quoted-printable or base64), and send it again." },
	{ ANY, 6, 7, "The address or the headers use letters beyond ASCII, and the other server cannot carry them. Ask the "
	             "recipient for an address in plain ASCII." },
	{ ANY, 6, 8, "The other server cannot answer in the letters that this message uses. Ask the recipient for an "
	             "address in plain ASCII." },
	{ ANY, 6, 9, "The headers use letters beyond ASCII, and the other server cannot carry them." },
	{ ANY, 6, 11, "The message holds line ends that mail does not allow. Use another mail program, or an updated one." },
	/* security and policy */
	{ 5, 7, 1, "The other server refuses this message by its own rules. Its words below may say why; if they do not, "
	           "ask the postmaster of that domain." },
	{ 4, 7, 1, "The other server puts this message off by its own rules, as many do with unknown senders." },
	{ ANY, 7, 2, "The list does not take messages from your address. Subscribe first, or ask whoever runs the list." },
	{ ANY, 7, 3, "The message would have to be converted for security, and it cannot be." },
	{ ANY, 7, 4, "The other server lacks a security feature that this message demands." },
	{ ANY, 7, 5, "The recipient's domain demands a secure connection, and none could be made. Nothing was sent in the "
	             "clear; the postmaster of that domain can mend this." },
	{ ANY, 7, 8, "Our login at the other server was refused. Tell the postmaster." },
	{ ANY, 7, 9, "The other server wants another way to log in. Tell the postmaster." },
	{ ANY, 7, 10, "A secure connection is demanded here, and the other server offered none. Nothing was sent in the "
	              "clear." },
	{ ANY, 7, 13, "The account is switched off. Tell the postmaster." },
	{ ANY, 7, 17, "The mailbox has changed its owner since you last wrote. Ask the recipient for the new address." },
	{ ANY, 7, 20, "The other server wants a valid DKIM signature and found none. Tell your postmaster." },
	{ ANY, 7, 21, "The other server does not accept the DKIM signature. Tell your postmaster." },
	{ ANY, 7, 22, "The DKIM signature does not belong to your domain. Tell your postmaster." },
	{ ANY, 7, 23, "By its SPF record your domain does not send mail from here. Tell your postmaster." },
	{ ANY, 7, 24, "The SPF record of your domain cannot be read. Tell your postmaster." },
	{ ANY, 7, 25, "The other server wants a proper name for the address that we send from. Tell your postmaster." },
	{ ANY, 7, 26, "The other server could not verify that this message comes from your domain (SPF, DKIM, DMARC). Tell "
	              "your postmaster." },
	{ ANY, 7, 27, "Your own domain has declared that it takes no mail, so nobody could answer. Use another sender "
	              "address." },
	{ ANY, 7, 28, "Too many messages came from here in a short time. Try again later." },
	{ ANY, 7, 30, "The message demands a secure way to its end (REQUIRETLS), and the next server cannot promise it." },
	/* whole subjects */
	{ 5, 1, ANY, "The other server does not accept this address. Check its spelling." },
	{ 4, 1, ANY, "The other server could not check this address at the moment." },
	{ 5, 2, ANY, "The mailbox takes no mail. Reach the recipient another way." },
	{ 4, 2, ANY, "The mailbox takes no mail at the moment." },
	{ ANY, 3, ANY, "The other mail system has a problem of its own." },
	{ ANY, 4, ANY, "There is a problem on the way to the other mail server." },
	{ ANY, 5, ANY, "Our server and the other one did not understand each other. Tell the postmaster." },
	{ 5, 6, ANY, "The other server does not accept the content of this message." },
	{ 4, 6, ANY, "The other server could not take the content of this message at the moment." },
	{ 5, 7, ANY, "The other server refuses this message by its own rules. Its words below may say why." },
	{ 4, 7, ANY, "The other server puts this message off by its own rules." },
	/* whole classes */
	{ 5, ANY, ANY, "The other server has refused this message for good. Its words below may say why." },
	{ 4, ANY, ANY, "The other server could not take this message at the moment." },
	{ 2, ANY, ANY, "The message has been handed over." },
};

static bool fits(uint16_t want, uint16_t got)
{
	return want == ANY || want == got;
}

struct str dsn_sentence(const struct smtp_reply *reply, enum dsn_kind kind)
{
	struct status s = reply->status;
	if (kind == DSN_DELIVERED)
		return STR("Your message is in the mailbox.");
	if (kind == DSN_RELAYED)
		return STR("Your message was handed to the next mail server, which does not confirm deliveries. "
		           "You may hear nothing more.");
	if (kind == DSN_EXPANDED)
		return STR("This address stands for several recipients, and your message is on its way to them.");
	if (s.class != 2 && s.class != 4 && s.class != 5)
		s = (struct status){ kind == DSN_FAILED && reply->code / 100 != 4 ? 5 : 4, ANY - 1, ANY - 1 };
	for (size_t i = 0; i < COUNT(rows); i++)
		if (fits(rows[i].class, s.class) && fits(rows[i].subject, s.subject) && fits(rows[i].detail, s.detail))
			return str_of(rows[i].sentence);
	return STR("The message could not be handed over.");
}
