/* schema_registry.h: gives schemas to a registry and gets their numbers.
 *
 * Confluent Schema Registry API, "POST /subjects/(subject)/versions", which
 * Apicurio, Karapace and Redpanda speak too.  Registering what is registered
 * gives the same number again, so nothing is kept over a restart. */
#ifndef LEAT_SINKS_SCHEMA_REGISTRY_H
#define LEAT_SINKS_SCHEMA_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/opt.h"

/* Part of a sink's conf struct. */
struct schema_registry_conf {
	struct opt_list urls; /* tried in turn */
	char *user, *password, *token;
	int tls; /* enum http_tls */
	char *ca, *cert, *key;
	int64_t timeout;
};

extern const char *const schema_registry_tls[]; /* ends in NULL */

/* Rows of an option table whose conf struct has it at `at`. */
#define SCHEMA_REGISTRY_OPTS(at)                                              \
	{.name = "registry", .type = OPT_LIST,                                \
	 .offset = (at) + offsetof(struct schema_registry_conf, urls),        \
	 .help = "URLs of the schema registry, tried in turn."},              \
	{.name = "registry_user", .type = OPT_TEXT,                           \
	 .offset = (at) + offsetof(struct schema_registry_conf, user),        \
	 .help = "User name for basic authentication at the registry."},      \
	{.name = "registry_password", .type = OPT_SECRET,                     \
	 .offset = (at) + offsetof(struct schema_registry_conf, password),    \
	 .help = "The user's password, read again for each registration."},   \
	{.name = "registry_token", .type = OPT_SECRET,                        \
	 .offset = (at) + offsetof(struct schema_registry_conf, token),       \
	 .help = "Bearer token for the registry, in place of a user."},       \
	{.name = "registry_tls", .type = OPT_CHOICE, .dflt = "verify-full",   \
	 .choices = schema_registry_tls,                                      \
	 .offset = (at) + offsetof(struct schema_registry_conf, tls),         \
	 .help = "What is checked of a registry that is asked by https."},    \
	{.name = "registry_ca", .type = OPT_TEXT,                             \
	 .offset = (at) + offsetof(struct schema_registry_conf, ca),          \
	 .help = "File of the authorities that the registry's certificate may be from."}, \
	{.name = "registry_cert", .type = OPT_TEXT,                           \
	 .offset = (at) + offsetof(struct schema_registry_conf, cert),        \
	 .help = "File of the certificate that is shown to the registry."},   \
	{.name = "registry_key", .type = OPT_TEXT,                            \
	 .offset = (at) + offsetof(struct schema_registry_conf, key),         \
	 .help = "File of that certificate's key."},                          \
	{.name = "registry_timeout", .type = OPT_TIME, .dflt = "10s",         \
	 .min = 100, .max = 600000,                                           \
	 .offset = (at) + offsetof(struct schema_registry_conf, timeout),     \
	 .help = "How long the registry may take to answer."}

struct schema_registry;

/* *Borrows* conf.  *Returns owned*, or NULL on lack of memory. */
struct schema_registry *schema_registry_new(
	const struct schema_registry_conf *conf);
void schema_registry_free(struct schema_registry *sr);

/* The number of an Avro schema under a subject.  -1 with
 *	sink_unreachable  no registry answered: ask again later
 *	schema_refused    incompatible with what the subject holds, or no schema
 *	sink_config       the registry wants other credentials */
int schema_registry_id(struct schema_registry *sr, const char *subject,
		       struct slice schema, uint32_t *id, struct err *e)
	MUST_CHECK;
/* Does one of them answer?  Errors as above. */
int schema_registry_check(struct schema_registry *sr, struct err *e) MUST_CHECK;

#endif
