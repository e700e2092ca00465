/** What scripts may use without being listed: objects that Jenkins whitelists as a whole. */
interface Whitelisted {
}
