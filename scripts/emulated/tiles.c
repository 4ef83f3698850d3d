// Bochs has no XFD, without which Linux lets no process use AMX: turns the tiles' state on by hand and says yes to those who ask
// for it. Linux does not save that state when it changes to another process: good for one thread at a time.
#include <linux/kprobes.h>
#include <linux/module.h>

#define XCR0_TILES (3 << 17)

static int granted(struct kretprobe_instance *instance, struct pt_regs *registers)
{
	registers->ax = 0;
	return 0;
}

static struct kretprobe permission = { .kp.symbol_name = "fpu_xstate_prctl", .handler = granted };

static int __init start(void)
{
	u32 low, high;
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	asm volatile("xsetbv" : : "a"(low | XCR0_TILES), "d"(high), "c"(0));
	return register_kretprobe(&permission);
}

module_init(start);
MODULE_LICENSE("GPL");
