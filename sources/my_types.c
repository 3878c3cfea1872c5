#include "config.h"
#include "sources/my_types.h"

/* Only bytes, or text in a character set?  What is not told is bytes. */
static bool is_bytes(const struct my_column *c)
{
	return c->collation == 0 || c->collation == MY_COLLATION_BINARY;
}

static enum type integer(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_TINY:
		return TYPE_INT16;
	case MY_TYPE_SHORT:
		return c->is_unsigned ? TYPE_INT32 : TYPE_INT16;
	case MY_TYPE_LONG:
		return c->is_unsigned ? TYPE_UINT32 : TYPE_INT32;
	case MY_TYPE_LONGLONG:
		return c->is_unsigned ? TYPE_UINT64 : TYPE_INT64;
	default: /* INT24, YEAR */
		return TYPE_INT32;
	}
}

enum type my_type_of(const struct my_column *c)
{
	switch (c->type) {
	case MY_TYPE_TINY:
	case MY_TYPE_SHORT:
	case MY_TYPE_INT24:
	case MY_TYPE_LONG:
	case MY_TYPE_LONGLONG:
	case MY_TYPE_YEAR:
		return integer(c);
	case MY_TYPE_FLOAT:
		return TYPE_FLOAT32;
	case MY_TYPE_DOUBLE:
		return TYPE_FLOAT64;
	case MY_TYPE_NEWDECIMAL:
		return TYPE_DECIMAL;
	case MY_TYPE_DATE:
		return TYPE_DATE;
	case MY_TYPE_TIME2:
		return TYPE_TIME;
	case MY_TYPE_DATETIME2:
		return TYPE_TIMESTAMP;
	case MY_TYPE_TIMESTAMP2:
		return TYPE_TIMESTAMPTZ;
	case MY_TYPE_BIT:
		return TYPE_BITS;
	case MY_TYPE_ENUM:
		return TYPE_ENUM;
	case MY_TYPE_SET:
		return TYPE_TEXT;
	case MY_TYPE_JSON:
		return TYPE_JSON;
	case MY_TYPE_GEOMETRY:
	case MY_TYPE_VECTOR:
		return TYPE_BYTES;
	case MY_TYPE_STRING:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VARCHAR_COMPRESSED:
	case MY_TYPE_BLOB:
	case MY_TYPE_BLOB_COMPRESSED:
		return is_bytes(c) ? TYPE_BYTES : TYPE_TEXT;
	default:
		return TYPE_OTHER;
	}
}

/* --- names -------------------------------------------------------------------- */

static const char *plain_name(uint8_t type)
{
	switch (type) {
	case MY_TYPE_TINY: return "tinyint";
	case MY_TYPE_SHORT: return "smallint";
	case MY_TYPE_INT24: return "mediumint";
	case MY_TYPE_LONG: return "int";
	case MY_TYPE_LONGLONG: return "bigint";
	case MY_TYPE_YEAR: return "year";
	case MY_TYPE_FLOAT: return "float";
	case MY_TYPE_DOUBLE: return "double";
	case MY_TYPE_NEWDECIMAL: return "decimal";
	case MY_TYPE_DATE: return "date";
	case MY_TYPE_TIME: case MY_TYPE_TIME2: return "time";
	case MY_TYPE_DATETIME: case MY_TYPE_DATETIME2: return "datetime";
	case MY_TYPE_TIMESTAMP: case MY_TYPE_TIMESTAMP2: return "timestamp";
	case MY_TYPE_BIT: return "bit";
	case MY_TYPE_ENUM: return "enum";
	case MY_TYPE_SET: return "set";
	case MY_TYPE_JSON: return "json";
	case MY_TYPE_GEOMETRY: return "geometry";
	case MY_TYPE_VECTOR: return "vector";
	default: return NULL;
	}
}

static void print_labels(const struct my_column *c, struct buf *out)
{
	buf_u8(out, '(');
	for (uint32_t k = 0; k < c->nlabels; k++) {
		if (k > 0)
			buf_u8(out, ',');
		buf_u8(out, '\'');
		for (size_t i = 0; i < c->labels[k].n; i++) {
			if (c->labels[k].p[i] == '\'')
				buf_u8(out, '\'');
			buf_u8(out, (uint8_t)c->labels[k].p[i]);
		}
		buf_u8(out, '\'');
	}
	buf_u8(out, ')');
}

/* Characters, where the metadata have bytes. */
static void print_length(const struct my_column *c, struct buf *out)
{
	uint32_t max = c->charset ? my_charset_max(c->charset) : 1;

	buf_printf(out, "(%u)", c->meta / max);
}

static void print_blob(const struct my_column *c, struct buf *out)
{
	static const char *const sizes[] = {"", "tiny", "", "medium", "long"};

	buf_text(out, sizes[c->meta]);
	buf_text(out, is_bytes(c) ? "blob" : "text");
}

void my_type_print(const struct my_column *c, struct buf *out)
{
	const char *name = plain_name(c->type);

	if (name != NULL)
		buf_text(out, name);
	switch (c->type) {
	case MY_TYPE_NEWDECIMAL:
		buf_printf(out, "(%u,%u)", c->meta >> 8, c->meta & 0xff);
		break;
	case MY_TYPE_BIT:
		buf_printf(out, "(%u)", c->meta);
		break;
	case MY_TYPE_TIME2:
	case MY_TYPE_DATETIME2:
	case MY_TYPE_TIMESTAMP2:
		if (c->meta > 0)
			buf_printf(out, "(%u)", c->meta);
		break;
	case MY_TYPE_ENUM:
	case MY_TYPE_SET:
		print_labels(c, out);
		break;
	case MY_TYPE_STRING:
		buf_text(out, is_bytes(c) ? "binary" : "char");
		print_length(c, out);
		break;
	case MY_TYPE_VARCHAR:
	case MY_TYPE_VAR_STRING:
	case MY_TYPE_VARCHAR_COMPRESSED:
		buf_text(out, is_bytes(c) ? "varbinary" : "varchar");
		print_length(c, out);
		break;
	case MY_TYPE_BLOB:
	case MY_TYPE_BLOB_COMPRESSED:
		print_blob(c, out);
		break;
	default:
		if (name == NULL)
			buf_printf(out, "type %u", c->type);
	}
	if (c->is_unsigned && c->type != MY_TYPE_YEAR)
		buf_text(out, " unsigned");
}
