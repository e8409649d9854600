interface PageMemory {
  buffer: ArrayBuffer;
}
// Not in the type libraries that we use.
const { Memory } = (
  globalThis as unknown as { WebAssembly: { Memory: new (size: { initial: number; maximum: number }) => PageMemory } }
).WebAssembly;
const WASM_PAGE_BYTES = 64 * 1024;

/**
 * A zeroed buffer that starts on a page boundary, for large reads and writes. Allocate few and keep them: each reserves
 * gigabytes of (virtual, unused) address space.
 *
 * Measured here (AMD EPYC, Node 20): with ordinary Buffers, which start a few bytes behind a page boundary, the kernel
 * takes three to four times as long to copy a tmpfs file into them, and sealing 512 MiB 0.6 s instead of 0.3 s.
 */
export function alignedBuffer(bytes: number): Buffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES);
  try {
    return Buffer.from(new Memory({ initial: pages, maximum: pages }).buffer, 0, bytes);
  } catch {
    // Address space is limited (ulimit -v): slower is better than not at all.
    return Buffer.alloc(bytes);
  }
}
