/**
 * Imported before all else. Users name environment variables and metadata as they like, `__proto__` among them, and
 * libraries (Protobuf's, the terminal's) copy such maps into plain objects key by key: the accessor of that name would
 * swallow the key. Nothing in the agent needs the accessor; without it, the key is one like others.
 */
Reflect.deleteProperty(Object.prototype, '__proto__');
