/** Guests that hold 2 GiB need room for themselves besides; their template is built once, and kept. */
export const LARGE_GUEST_MIB = 3_072;
export const LARGE_USE_MIB = 2_048;
