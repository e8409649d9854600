/*
 * The guest's first program, alone in its initrd with the driver of its disk: Debian's own initrd looks for devices with
 * shell scripts and udev, which takes many seconds under emulation. Mounts what systemd would start a process each for.
 *
 * The disk is checked where it is known to have errors: it stays read-only then, and systemd checks what is read-only.
 *
 * Without a C library, which not every host has as a static one.
 */

#define DISK "/dev/vda"
/* As it is in the kernel's package: compressed. */
#define DRIVER "/driver"
#define NEW_ROOT "/root"

enum { SYS_read, SYS_write, SYS_open, SYS_close, SYS_pread64 = 17, SYS_nanosleep = 35, SYS_execve = 59, SYS_exit,
       SYS_chdir = 80, SYS_mkdir = 83, SYS_unlink = 87, SYS_chroot = 161, SYS_mount = 165, SYS_finit_module = 313 };
enum { READ_ONLY = 1, NO_SUID = 2, NO_DEV = 4, NO_EXEC = 8, REMOUNT = 32, NO_ATIME = 1024, MOVE = 8192, REL_ATIME = 1 << 21,
       STRICT_ATIME = 1 << 24 };
enum { O_RDONLY = 0, O_WRONLY = 1, O_CLOEXEC = 02000000, COMPRESSED_FILE = 4 };

static long call(long number, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

static long open_file(const char *path, long flags) { return call(SYS_open, (long)path, flags | O_CLOEXEC, 0, 0, 0); }

static long mount(const char *what, const char *where, const char *type, long flags, const char *options) {
  return call(SYS_mount, (long)what, (long)where, (long)type, flags, (long)options);
}

/* The kernel panics when this program ends, says so, and tells its machine. */
static _Noreturn void fail(const char *message) {
  long log = open_file("/dev/kmsg", O_WRONLY);
  long length = 0;
  while (message[length] != 0) length++;
  if (log >= 0) call(SYS_write, log, (long)message, length, 0, 0);
  for (;;) call(SYS_exit, 1, 0, 0, 0, 0);
}

static long wait_for(const char *path) {
  struct { long seconds, nanoseconds; } moment = {0, 10000000};
  for (int tries = 0; tries < 6000; tries++) {
    long file = open_file(path, O_RDONLY);
    if (file >= 0) return file;
    call(SYS_nanosleep, (long)&moment, 0, 0, 0, 0);
  }
  return -1;
}

/* Of the superblock, s_state: EXT4_ERROR_FS. */
static int has_errors(long disk) {
  unsigned short state = 0;
  return call(SYS_pread64, disk, (long)&state, sizeof state, 1024 + 0x3a, 0) != sizeof state || (state & 2) != 0;
}

static void mount_root(void) {
  long disk = wait_for(DISK);
  if (disk < 0) fail("dormouse-init: there is no " DISK "\n");
  /* Replays the journal, and takes over into the superblock what errors it tells of. */
  if (mount(DISK, NEW_ROOT, "ext4", READ_ONLY | NO_ATIME, "discard") < 0) fail("dormouse-init: " DISK " cannot be mounted\n");
  if (!has_errors(disk)) mount("", NEW_ROOT, "", REMOUNT | NO_ATIME, "discard");
  call(SYS_close, disk, 0, 0, 0, 0);
}

/* Options as systemd's: it takes what is there for mounted, and starts no process for it. */
static void mount_kernel_file_systems(void) {
  mount("proc", NEW_ROOT "/proc", "proc", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  mount("sysfs", NEW_ROOT "/sys", "sysfs", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  mount("debugfs", NEW_ROOT "/sys/kernel/debug", "debugfs", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  mount("tracefs", NEW_ROOT "/sys/kernel/tracing", "tracefs", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  mount("fusectl", NEW_ROOT "/sys/fs/fuse/connections", "fusectl", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  call(SYS_mkdir, (long)"/dev/mqueue", 0755, 0, 0, 0);
  mount("mqueue", "/dev/mqueue", "mqueue", NO_SUID | NO_DEV | NO_EXEC | REL_ATIME, 0);
  call(SYS_mkdir, (long)"/dev/hugepages", 0755, 0, 0, 0);
  mount("hugetlbfs", "/dev/hugepages", "hugetlbfs", REL_ATIME, "pagesize=2M");
}

__attribute__((used)) static _Noreturn void start(long *stack) {
  long count = stack[0];
  char **arguments = (char **)(stack + 1);
  char **environment = arguments + count + 1;
  mount("devtmpfs", "/dev", "devtmpfs", NO_SUID | STRICT_ATIME, "mode=0755");
  long driver = open_file(DRIVER, O_RDONLY);
  call(SYS_finit_module, driver, (long)"", COMPRESSED_FILE, 0, 0);
  call(SYS_close, driver, 0, 0, 0, 0);
  call(SYS_unlink, (long)DRIVER, 0, 0, 0, 0);
  call(SYS_unlink, (long)"/init", 0, 0, 0, 0);
  mount_root();
  mount_kernel_file_systems();
  mount("/dev", NEW_ROOT "/dev", 0, MOVE, 0);
  call(SYS_chdir, (long)NEW_ROOT, 0, 0, 0, 0);
  mount(".", "/", 0, MOVE, 0);
  call(SYS_chroot, (long)".", 0, 0, 0, 0);
  call(SYS_chdir, (long)"/", 0, 0, 0, 0);
  arguments[0] = "/sbin/init";
  call(SYS_execve, (long)arguments[0], (long)arguments, (long)environment, 0, 0);
  fail("dormouse-init: /sbin/init cannot be started\n");
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start\n");
