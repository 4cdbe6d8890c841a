/* Lines on their way to stdout and stderr. */
#include "outlet.h"

#include "emit.h"

#define LAST_WRITE_MS 500

static void on_full(int is_full, void *arg)
{
	struct outlet_side *side = arg;
	struct outlet *o = side->outlet;

	side->is_full = is_full;
	o->n_full += is_full ? 1 : -1;
	if (o->n_full == is_full && o->full)
		o->full(is_full, o->arg);
}

/* Without stderr there is nobody to tell. */
static void on_failed(int code, void *arg)
{
	struct outlet_side *side = arg;
	struct outlet *o = side->outlet;

	if (side->is_full)
		on_full(0, side);
	if (side == &o->sides[0] && o->failed)
		o->failed(code, o->arg);
}

static struct sink *sink_of(struct outlet *o, int fd)
{
	struct outlet_side *side = &o->sides[fd - 1];
	struct sink_events events = { on_full, on_failed, side };

	/* Not before: without lines it is the commands' own matter who reads. */
	if (!side->sink) {
		side->outlet = o;
		side->sink = sink_open(o->loop, fd, &events);
	}
	return side->sink;
}

void outlet_line(struct outlet *o, int fd, const char *tag, const char *data, size_t len)
{
	struct sink *sink = sink_of(o, fd);
	struct bytes *out = sink_buffer(sink);

	if (tag)
		emit_f(out, "[%s] ", tag);
	emit_n(out, data, len);
	emit(out, "\n");
	sink_flush(sink);
}

void outlet_text(struct outlet *o, int fd, const char *text, size_t len)
{
	struct sink *sink = sink_of(o, fd);

	emit_n(sink_buffer(sink), text, len);
	sink_flush(sink);
}

void outlet_status(struct outlet *o, const char *line, size_t len)
{
	struct sink *sink = sink_of(o, 2);

	if (o->sides[1].is_full) {
		o->n_left_out++;
		return;
	}
	if (o->n_left_out)
		emit_f(sink_buffer(sink), "whendo: %zu lines left out here: nobody read them\n",
		       o->n_left_out);
	o->n_left_out = 0;
	emit_n(sink_buffer(sink), line, len);
	sink_flush(sink);
}

void outlet_close(struct outlet *o)
{
	for (int i = 0; i < 2; i++)
		if (o->sides[i].sink) {
			sink_close(o->sides[i].sink, LAST_WRITE_MS);
			o->sides[i].sink = NULL;
		}
}
