/* SPDX-License-Identifier: ISC */
/*
 * store/sqlite_statements.h -- all that the SQLite store says to its database, but for what makes the tables (sqlite_schema.h).
 *
 * Tests    test/unit/store/sqlite_test.c, test/unit/store/contract.h, test/unit/store/backlog_test.c (how many rows each looks at)
 */
#ifndef STORE_SQLITE_STATEMENTS_H
#define STORE_SQLITE_STATEMENTS_H

/* Every row carries checksums of itself, as every record of the content does: a flipped byte is found, not believed.
 * They are made by checksum(), which sqlite_checksum() teaches the database. A recipient has two, one of what never
 * changes and is never made anew (so that no update can make damage look right), one of its state. */
#define MESSAGE_SUM(p, arrived, extents)                                                           \
	"checksum(" p "number," p "id," p "sender," arrived "," p "size_bytes," p "body," p "smtputf8," p "ret," p "envid," \
	p "client," p "helo," p "user," p "protocol," p "tls," extents "," p "tls_tag)"
#define MESSAGE_OK(p) p "sum=" MESSAGE_SUM(p, p "arrived_s", p "extents")
#define RCPT_SUM(p) "checksum(" p "number," p "address," p "original," p "orcpt," p "notify)"
#define STATE_SUM(p) "checksum(" p "number," p "destination," p "held," p "attempts," p "next_s," p "last_reply,"  \
	p "last_dialogue," p "delay_warned)"
/* What a caller learns of a message, in the order that message_in_row() knows. */
#define MESSAGE_FACTS(p)                                                                           \
	p "id," p "sender," p "arrived_s," p "size_bytes," p "body," p "smtputf8," p "ret," p "envid," p "client," p "helo,"   \
	p "user," p "protocol," p "tls," p "tls_tag"
enum { MESSAGE_FACTS_COLUMNS = 14 };
/* As address_domain_of(), in lower case (ASCII), as the index rcpt_domain has it: of those who have been tried. What goes through at
 * once costs it nothing. */
#define DOMAIN_OF_RCPT "lower(substr(address,length(rtrim(address,replace(address,'@','')))+1))"
#define ROW_OK "(r.sum=" RCPT_SUM("r.") " AND r.state_sum=" STATE_SUM("r.") " AND " MESSAGE_OK("m.") ")"
/* The column delay_warned has a bit for each thing that is done with a recipient once. */
enum { ONCE_DELAY_WARNED = 1, ONCE_RELEASED = 2 };
#define RCPTS_WITH_MESSAGES " FROM rcpt r CROSS JOIN message m ON m.number=r.number>>20"
#define OF_DOMAIN " FROM rcpt r INDEXED BY rcpt_domain CROSS JOIN message m ON m.number=r.number>>20"      \
	" WHERE " DOMAIN_OF_RCPT "=?3 AND r.attempts>0 AND r.number BETWEEN ?1 AND ?2 ORDER BY r.number"

/* What a caller learns of a recipient: the first columns of each such row, which row_rcpt() reads. Then come, in some, what a selector
 * asks for, or the facts of the message and where its content lies. */
#define ROW_COLUMNS "r.number,m.id,r.address,r.original,r.orcpt,r.notify,r.destination,r.held,r.attempts,r.next_s,r.last_reply,"        \
	"r.last_dialogue,r.delay_warned,"
#define ROW_CHECKED ROW_COLUMNS ROW_OK ",m.sender"
#define ROW_UNCHECKED ROW_COLUMNS "1,m.sender"
#define ROW_SELECTED_BY ",m.arrived_s,m.user"
enum row_column {
	ROW_NUMBER, ROW_ID, ROW_ADDRESS, ROW_ORIGINAL, ROW_ORCPT, ROW_NOTIFY, ROW_DESTINATION, ROW_HELD, ROW_ATTEMPTS, ROW_NEXT_S,
	ROW_LAST_REPLY, ROW_LAST_DIALOGUE, ROW_DELAY_WARNED, ROW_IS_WHOLE, ROW_SENDER,
	ROW_ARRIVED_S, ROW_USER,                       /* ROW_SELECTED_BY */
	ROW_FACTS_AT = ROW_SENDER + 1, ROW_EXTENTS_AT = ROW_FACTS_AT + MESSAGE_FACTS_COLUMNS, /* SQL_ROW */
};

/* Every statement that is run: prepared once, when first needed. */
#define SQL_STATEMENTS(SQL)                                                                        \
	SQL(SQL_BEGIN, "BEGIN IMMEDIATE")                                                          \
	SQL(SQL_COMMIT, "COMMIT")                                                                  \
	SQL(SQL_ROLLBACK, "ROLLBACK")                                                              \
	SQL(SQL_RESERVE, "UPDATE meta SET value = ?1 WHERE key IN ('next-number', 'next-number-copy')") \
	SQL(SQL_ADD_MESSAGE, "INSERT INTO message VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15," \
	                     "checksum(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16),?16)") \
	SQL(SQL_ADD_RCPT, "INSERT INTO rcpt(number,address,original,orcpt,notify,destination,held,next_s,last_reply," \
	                  "sum,state_sum) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,"                      \
	                  "checksum(?1,?2,?3,?4,?5),checksum(?1,?6,?7,0,?8,?9,'',0))")             \
	SQL(SQL_LATER, "UPDATE rcpt SET held=?2, next_s=?3, attempts=attempts+?4, delay_warned=delay_warned|?5," \
	               " destination=coalesce(?6,destination), last_reply=coalesce(?7,last_reply)," \
	               " last_dialogue=coalesce(?8,last_dialogue),"                                \
	               " state_sum=checksum(number,coalesce(?6,destination),?2,attempts+?4,?3,"    \
	               "coalesce(?7,last_reply),coalesce(?8,last_dialogue),delay_warned|?5)"       \
	               " WHERE number=?1 RETURNING destination")                                   \
	SQL(SQL_REMOVE_RCPT, "DELETE FROM rcpt WHERE number=?1")                                   \
	SQL(SQL_DESERTED, "SELECT extents,size_bytes FROM message WHERE number=?1"                 \
	                  " AND NOT EXISTS (SELECT 1 FROM rcpt WHERE number BETWEEN ?2 AND ?3)")   \
	SQL(SQL_REMOVE_MESSAGE, "DELETE FROM message WHERE number=?1")                             \
	SQL(SQL_DUE, "SELECT number,next_s FROM rcpt INDEXED BY rcpt_due WHERE destination=?1 AND held=0 ORDER BY next_s,number") \
	SQL(SQL_SCAN, "SELECT r.number,r.address,m.sender,m.user,m.arrived_s" RCPTS_WITH_MESSAGES  \
	              " WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number")                       \
	SQL(SQL_SCAN_UNTRIED, "SELECT number,address,attempts FROM rcpt WHERE number BETWEEN ?1 AND ?2 ORDER BY number") \
	SQL(SQL_DOMAIN, "SELECT " ROW_CHECKED ROW_SELECTED_BY OF_DOMAIN)                           \
	SQL(SQL_DOMAIN_NUMBERS, "SELECT number FROM rcpt INDEXED BY rcpt_domain WHERE " DOMAIN_OF_RCPT "=?3 AND attempts>0" \
	                        " AND number BETWEEN ?1 AND ?2 ORDER BY number")                   \
	SQL(SQL_DOMAIN_UNCHECKED, "SELECT " ROW_UNCHECKED ROW_SELECTED_BY OF_DOMAIN)               \
	SQL(SQL_ROW, "SELECT " ROW_CHECKED "," MESSAGE_FACTS("m.") ",m.extents" RCPTS_WITH_MESSAGES " WHERE r.number=?1") \
	SQL(SQL_WALK, "SELECT " ROW_CHECKED RCPTS_WITH_MESSAGES " WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number") \
	SQL(SQL_WALK_UNCHECKED, "SELECT " ROW_UNCHECKED RCPTS_WITH_MESSAGES " WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number") \
	SQL(SQL_WHOLE, "SELECT " ROW_CHECKED ROW_SELECTED_BY RCPTS_WITH_MESSAGES " WHERE r.number=?1") \
	SQL(SQL_WHOLE_UNCHECKED, "SELECT " ROW_UNCHECKED ROW_SELECTED_BY RCPTS_WITH_MESSAGES " WHERE r.number=?1") \
	SQL(SQL_WHEN, "SELECT destination,next_s,held FROM rcpt WHERE number=?1")                  \
	SQL(SQL_DESTINATIONS, "SELECT destination,min(next_s),max(next_s),count(*) FROM rcpt INDEXED BY rcpt_due WHERE held=0 GROUP BY destination") \
	SQL(SQL_GLANCE, "SELECT r.number,r.address,r.destination,r.held,r.next_s,m.arrived_s" RCPTS_WITH_MESSAGES \
	                " WHERE r.number>?1 ORDER BY r.number LIMIT ?2")                           \
	SQL(SQL_EXTENTS, "SELECT number,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE number>?1" \
	                 " ORDER BY number LIMIT ?2")                                              \
	SQL(SQL_MOVE, "UPDATE message SET extents=?2, sum=" MESSAGE_SUM("", "arrived_s", "?2")     \
	              " WHERE number=?1 AND " MESSAGE_OK(""))                                      \
	SQL(SQL_MESSAGE, "SELECT " MESSAGE_FACTS("") "," MESSAGE_OK("") " FROM message WHERE id=?1") \
	SQL(SQL_CONTENT, "SELECT number,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE id=?1") \
	SQL(SQL_HOLD, "UPDATE rcpt SET held=1, next_s=?2, state_sum="                              \
	              "checksum(number,destination,1,attempts,?2,last_reply,last_dialogue,delay_warned) WHERE number=?1") \
	SQL(SQL_RELEASE, "UPDATE rcpt SET held=0, next_s=?2, destination=?3, state_sum="           \
	                 "checksum(number,?3,0,attempts,?2,last_reply,last_dialogue,delay_warned|?4), delay_warned=delay_warned|?4" \
	                 " WHERE number=?1")                                                       \
	SQL(SQL_SOONER, "UPDATE rcpt SET next_s=?2, attempts=max(min(1,attempts),attempts-1), state_sum=" \
	                "checksum(number,destination,held,max(min(1,attempts),attempts-1),?2,last_reply,last_dialogue,delay_warned)" \
	                " WHERE number=?1")                                                        \
	SQL(SQL_ASIDE, "UPDATE rcpt SET held=2, last_reply=?2, state_sum="                         \
	               "checksum(number,destination,2,attempts,next_s,?2,last_dialogue,delay_warned) WHERE number=?1") \
	SQL(SQL_CLAMP_ARRIVED, "UPDATE message SET arrived_s=?1, sum=" MESSAGE_SUM("", "?1", "extents") \
	                       " WHERE arrived_s>?1 AND " MESSAGE_OK(""))                          \
	SQL(SQL_CLAMP_NEXT, "UPDATE rcpt SET next_s=?1, state_sum="                                \
	                    "checksum(number,destination,held,attempts,?1,last_reply,last_dialogue,delay_warned)" \
	                    " WHERE next_s>?2 AND held=0 RETURNING destination")                   \
	SQL(SQL_SHIFT_ARRIVED, "UPDATE message SET arrived_s=max(0,arrived_s+?1), sum="            \
	                       MESSAGE_SUM("", "max(0,arrived_s+?1)", "extents") " WHERE " MESSAGE_OK("")) \
	SQL(SQL_SHIFT_NEXT, "UPDATE rcpt SET next_s=max(0,next_s+?1), state_sum=checksum(number,destination,held," \
	                    "attempts,max(0,next_s+?1),last_reply,last_dialogue,delay_warned)"     \
	                    " WHERE state_sum=" STATE_SUM(""))                                     \
	SQL(SQL_SHIFT_OBSERVED, "UPDATE observation SET expires_s=max(0,expires_s+?1) WHERE expires_s<9223372036854775807") \
	SQL(SQL_TRIM, "DELETE FROM observation WHERE key IN (SELECT key FROM (SELECT key,row_number() OVER w AS n," \
	              "sum(length(CAST(key AS BLOB))+length(CAST(value AS BLOB))) OVER w AS bytes" \
	              " FROM observation WHERE key>=?1 AND key<?2 WINDOW w AS (ORDER BY expires_s DESC,key))" \
	              " WHERE n>?3 OR bytes>?4)")                                                  \
	SQL(SQL_ADOPT, "SELECT extents,size_bytes,arrived_s FROM message")                         \
	SQL(SQL_COUNT_RCPTS, "SELECT count(*),(SELECT count(*) FROM rcpt INDEXED BY rcpt_aside WHERE held>1) FROM rcpt") \
	SQL(SQL_VERIFY_MESSAGE, "SELECT number,id,size_bytes,extents," MESSAGE_OK("") " FROM message WHERE number>=?1" \
	                        " ORDER BY number LIMIT 1")                                        \
	SQL(SQL_VERIFY_RCPTS, "SELECT number,address,held,sum=" RCPT_SUM("") ",state_sum=" STATE_SUM("") \
	                      " FROM rcpt WHERE number BETWEEN ?1 AND ?2")                         \
	SQL(SQL_BELOW, "SELECT EXISTS (SELECT 1 FROM message WHERE number<1) OR EXISTS (SELECT 1 FROM rcpt WHERE number<1)") \
	SQL(SQL_REMEMBER, "INSERT INTO observation VALUES(?1,?2,?3) ON CONFLICT(key)"              \
	                  " DO UPDATE SET value=excluded.value, expires_s=excluded.expires_s")     \
	SQL(SQL_FORGET, "DELETE FROM observation WHERE expires_s<=?1")                             \
	SQL(SQL_RECALL, "SELECT key,value,expires_s FROM observation")                             \
	SQL(SQL_RECALL_SOME, "SELECT key,value,expires_s FROM observation WHERE key>?1 AND key>=?2 AND key<?3 ORDER BY key LIMIT ?4")

#define SQL_ENUM(name, text) name,
enum sql { SQL_STATEMENTS(SQL_ENUM) SQL_COUNT };

#endif
