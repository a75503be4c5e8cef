/* SPDX-License-Identifier: ISC */
/*
 * sys/log_events.h -- every event that Sealpost logs: name, level, meaning. docs/LOG.md lists them.
 */
#ifndef SYS_LOG_EVENTS_H
#define SYS_LOG_EVENTS_H

/* EVENT(enumerator, name, level, meaning), by the role that says it. */
#define LOG_EVENTS(EVENT)                                                                         \
	EVENT(LOG_STARTING, "starting", INFO, "The server starts; says under which user it runs.")  \
	EVENT(LOG_READY, "ready", INFO, "Every role has taken the configuration; mail is accepted.") \
	EVENT(LOG_RELOADED, "reloaded", INFO, "A new configuration is in force.")                 \
	EVENT(LOG_RELOAD_FAILED, "reload-failed", ERROR, "The new configuration has errors; the old one stays.") \
	EVENT(LOG_START_FAILED, "start-failed", ERROR, "The server cannot start with this configuration; the text says why.") \
	EVENT(LOG_DRAINING, "draining", INFO, "No new mail is taken; what is in hand is finished.") \
	EVENT(LOG_STOPPED, "stopped", INFO, "The server has ended.")                              \
	EVENT(LOG_ROLE_STARTED, "role-started", DEBUG, "A role's process runs.")                  \
	EVENT(LOG_CONFINED, "confined", INFO, "A role has given up what it does not need: its user, root, system calls, Landlock's " \
	      "version; what is less than it could be.") \
	EVENT(LOG_ROLE_REPLACED, "role-replaced", INFO, "A role's process makes room for another: with other folders or another account, or " \
	      "because it lacks what the fronts share.") \
	EVENT(LOG_ROLE_DIED, "role-died", ERROR, "A role's process ended unexpectedly and is started again.") \
	EVENT(LOG_CHANNEL_BROKEN, "channel-broken", ERROR, "A neighbour sent something that is not a message.") \
	EVENT(LOG_NEIGHBOUR_GONE, "neighbour-gone", DEBUG, "A neighbour's process ended; the link comes again with its successor.") \
	EVENT(LOG_LISTENING, "listening", INFO, "A listener accepts connections.")                \
	EVENT(LOG_TROUBLE, "trouble", WARN, "Something is odd; the text says what and what to do.")  \
	EVENT(LOG_CONNECTED, "connected", DEBUG, "A client has connected.")                       \
	EVENT(LOG_DISCONNECTED, "disconnected", DEBUG, "A client has gone.")                      \
	EVENT(LOG_TLS_STARTED, "tls", DEBUG, "A handshake succeeded.")                            \
	EVENT(LOG_TLS_FAILED, "tls-failed", INFO, "A handshake failed; the reason says what to mend.") \
	EVENT(LOG_WRONG_PORT, "wrong-port", WARN, "A client spoke plain text to a TLS port or TLS to a plain one.") \
	EVENT(LOG_REFUSED, "refused", INFO, "A command was refused by policy.")                   \
	EVENT(LOG_LOGIN, "login", INFO, "A user has logged in.")                                  \
	EVENT(LOG_LOGIN_FAILED, "login-failed", WARN, "A login was refused.")                     \
	EVENT(LOG_LOGIN_DENIED, "login-denied", INFO, "The keeper's side of a refused login: the name that was tried, how, the delay.") \
	EVENT(LOG_ACCEPTED, "accepted", INFO, "A message is durable and ours; its queue id, client, TLS facts, user.") \
	EVENT(LOG_QUEUE_OPENED, "queue-opened", INFO, "The queue is open; how many recipients wait.") \
	EVENT(LOG_QUEUE_FAILED, "queue-failed", ERROR, "The queue's storage failed; mail is refused until it works again.") \
	EVENT(LOG_SHORTAGE, "shortage", ERROR, "Disk space (or room for names: inodes) is short; new mail is refused, deliveries go on.") \
	EVENT(LOG_ATTEMPT, "attempt", INFO, "A delivery was tried: host, protection reached, reply, delay.") \
	EVENT(LOG_DELIVERED, "delivered", INFO, "A recipient is finished: in the mailbox or with the next server.") \
	EVENT(LOG_EXPANDED, "expanded", INFO, "A recipient stood for several others; the sender, who asked, is told so.") \
	EVENT(LOG_DEFERRED, "deferred", INFO, "A recipient waits: the reason and the next try.")   \
	EVENT(LOG_DESTINATION_SLOWED, "destination-slowed", WARN, "A destination gets fewer letters at a time, or none for a while: what it said, " \
	      "what it gets now. Once in ten minutes; the others in a crowd are counted.") \
	EVENT(LOG_DESTINATION_RECOVERED, "destination-recovered", INFO, "A destination that was slowed takes as much as before.") \
	EVENT(LOG_BOUNCED, "bounced", INFO, "A recipient failed for good; the sender is told.")    \
	EVENT(LOG_NOTICE, "notice", INFO, "A notice for a sender is in the queue: what became of a message.") \
	EVENT(LOG_QUEUE_DAMAGED, "queue-damaged", ERROR, "What lies in the queue is not what was committed; it is set aside: see `sealpost queue verify`.") \
	EVENT(LOG_DELAY_WARNED, "delay-warned", INFO, "The sender is told that a letter is late.") \
	EVENT(LOG_HELD, "held", INFO, "A recipient is held until somebody releases it.")          \
	EVENT(LOG_REMOVED, "removed", INFO, "A recipient was removed by the operator.")           \
	EVENT(LOG_CONTROL, "control", INFO, "A command came over the control socket.")            \
	EVENT(LOG_DNSSEC, "dnssec", INFO, "The resolver validates DNSSEC.")                       \
	EVENT(LOG_DNSSEC_OFF, "dnssec-off", WARN, "DNSSEC cannot be validated now; the text says why and what to do.") \
	EVENT(LOG_TLS_REPORT, "tls-report", INFO, "What became of the report on a day's TLS sessions with a domain: taken, unwanted, to be " \
	      "tried again, given up.") \
	EVENT(LOG_TLS_SHAPE, "tls-shape", INFO, "A mail server could only bear a smaller TLS hello; it gets that one for a week.") \
	EVENT(LOG_MTASTS, "mta-sts", INFO, "A domain's MTA-STS policy is new to us, or another one.") \
	EVENT(LOG_MTASTS_TROUBLE, "mta-sts-trouble", WARN, "A domain's MTA-STS policy could not be had or renewed; the one that is known stays.") \
	EVENT(LOG_DOWNGRADE, "downgrade", WARN, "A domain showed less protection than before, or a letter left in clear because the other " \
	      "side offers no TLS.")

#define LOG_EVENT_ENUM(enumerator, name, level, meaning) enumerator,
enum log_event { LOG_EVENTS(LOG_EVENT_ENUM) LOG_EVENT_COUNT };

#endif
