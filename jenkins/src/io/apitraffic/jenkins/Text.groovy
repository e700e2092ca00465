package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonSlurper

import java.time.Instant

/**
 * Text, times and JSON as in all parts of apitraffic-events (tests/vectors).
 *
 * All methods are @NonCPS and call no steps. Sources are ASCII, because Jenkins reads them in its own encoding.
 */
class Text implements Serializable {

    private static final long serialVersionUID = 1

    static final String ELLIPSIS = '\u2026'
    static final String LINE_BREAK = '\\r\\n|[\\n\\x0b\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029]'
    /** INVISIBLE of apitraffic_events/text.py, and every kind of space. */
    static final String BLANK = '[\\x00-\\x20\\x7f-\\xa0\\u061c\\u1680\\u2000-\\u200b\\u200e\\u200f\\u2028-\\u202f' +
        '\\u205f\\u2060\\u2066-\\u2069\\u3000\\ufeff\\p{Cs}]+'
    static final int NAME_LIMIT = 200
    static final int DESCRIPTION_LIMIT = 2000
    static final int VALUE_LIMIT = 1000
    /** The receiver shortens keys to 300 characters itself: a SHA-256 in sandboxed Groovy would take seconds. */
    static final int KEY_LIMIT = 1000
    static final int RECEIVERS_KEY_LIMIT = 300
    static final int RECEIVERS_DIGEST_LENGTH = 32
    /** Unix times from this number on are in milliseconds. */
    static final long MILLISECONDS_FROM = 100000000000L

    /** One line without invisible characters, cut at a word with an ellipsis. The limit counts code points. */
    @NonCPS
    static String oneLine(Object value, int limit) {
        String line = collapsed(cut(value.toString(), limit * 4))
        if (length(line) <= limit) {
            return line
        }
        String head = cut(line, limit - 1)
        boolean endsWithWord = line.charAt(head.length()) == (' ' as char)
        int space = head.lastIndexOf(' ')
        String words = endsWithWord ? head : head.substring(0, space < 0 ? 0 : space)
        String kept = length(words) > limit.intdiv(2) ? words : head
        return kept.replaceAll('[ ,;:(-]+$', '') + ELLIPSIS
    }

    /** Like oneLine, but keeps line breaks. */
    @NonCPS
    static String paragraphs(Object value) {
        List<String> lines = []
        for (String line in cut(value.toString(), DESCRIPTION_LIMIT * 4).split(LINE_BREAK, -1)) {
            lines.add(collapsed(line))
        }
        String joined = lines.join('\n').trim()
        if (length(joined) <= DESCRIPTION_LIMIT) {
            return joined
        }
        return cut(joined, DESCRIPTION_LIMIT - 1).replaceAll('\\s+$', '') + ELLIPSIS
    }

    @NonCPS
    static String firstLine(Object value) {
        return value == null ? '' : value.toString().split(LINE_BREAK, 2)[0]
    }

    /**
     * A marker's key. A key over the limit ends in two checksums of the whole text, so that two do not become the same.
     * The second checksum is of other numbers than the first: texts that have the first in common differ in it.
     */
    @NonCPS
    static String markerKey(String text) {
        String line = collapsed(text)
        if (length(line) <= KEY_LIMIT) {
            return line
        }
        String encoded = Base64.getEncoder().encodeToString(line.getBytes('UTF-8'))
        String checksums = String.format('%08x%08x', line.hashCode(), encoded.hashCode())
        return cut(line, KEY_LIMIT - checksums.length() - 1) + '~' + checksums
    }

    /** Whether what is stored in an event is this key, whole or as the receiver shortens it (receiver.events.marker_key). */
    @NonCPS
    static boolean isKey(Object stored, String key) {
        if (stored == key || length(key) <= RECEIVERS_KEY_LIMIT) {
            return stored == key
        }
        return stored != null && stored.toString().startsWith(cut(key, RECEIVERS_KEY_LIMIT - RECEIVERS_DIGEST_LENGTH - 1) + '~')
    }

    @NonCPS
    static String collapsed(String text) {
        return text.replaceAll(BLANK, ' ').trim()
    }

    @NonCPS
    static int length(String text) {
        int units = text.length() - text.replaceAll('[\\x{10000}-\\x{10ffff}]+', '').length()
        return text.length() - units.intdiv(2)
    }

    @NonCPS
    static String cut(String text, int limit) {
        return length(text) <= limit ? text : text.substring(0, text.offsetByCodePoints(0, limit))
    }

    @NonCPS
    static String withoutEndSlash(Object url) {
        return (url ?: '').toString().replaceAll('/+$', '')
    }

    /** 45 s, 5 min 3 s, 2 h 10 min, 3 d 4 h. */
    @NonCPS
    static String duration(long milliseconds) {
        long seconds = Math.max(0L, Math.round(milliseconds / 1000.0d))
        long minutes = seconds.intdiv(60)
        long hours = seconds.intdiv(3600)
        long days = seconds.intdiv(86400)
        if (days > 0) {
            return amounts(days, 'd', hours % 24, 'h')
        }
        if (hours > 0) {
            return amounts(hours, 'h', minutes % 60, 'min')
        }
        return minutes > 0 ? amounts(minutes, 'min', seconds % 60, 's') : seconds + ' s'
    }

    @NonCPS
    private static String amounts(long large, String largeUnit, long small, String smallUnit) {
        return large + ' ' + largeUnit + (small > 0 ? ' ' + small + ' ' + smallUnit : '')
    }

    /** ISO 8601 in UTC with milliseconds. */
    @NonCPS
    static String timestamp(long milliseconds) {
        return new Date(milliseconds).format("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", TimeZone.getTimeZone('UTC'))
    }

    /** Milliseconds since 1970 of a Date, ISO 8601, or Unix seconds or milliseconds; null for anything else. */
    @NonCPS
    static Long milliseconds(Object value) {
        if (value instanceof Date) {
            return ((Date) value).getTime()
        }
        String text = value.toString().trim()
        if (text.matches('\\d{1,15}')) {
            long number = text.toLong()
            return number < MILLISECONDS_FROM ? number * 1000 : number
        }
        def parts = text =~ '(\\d{4}-\\d\\d-\\d\\d)(?:[Tt ](\\d\\d:\\d\\d)(:\\d\\d(?:[.,]\\d{1,9})?)?)?\\s*' +
            '(Z|z|UTC|[+-]\\d\\d(?::?\\d\\d)?)?'
        if (!parts.matches()) {
            return null
        }
        String time = (parts.group(2) ?: '00:00') + (parts.group(3) ?: ':00').replace(',', '.')
        Instant moment
        try {
            moment = Instant.parse(parts.group(1) + 'T' + time + 'Z')
        } catch (Exception ignored) { // for example, the 31st of February
            return null
        }
        return moment.getEpochSecond() * 1000 + moment.getNano().intdiv(1000000) - offset(parts.group(4)) * 60000
    }

    /** Minutes east of Greenwich. */
    @NonCPS
    private static long offset(String zone) {
        if (zone == null || !zone.matches('[+-].*')) {
            return 0
        }
        String digits = zone.substring(1).replace(':', '')
        long minutes = digits.substring(0, 2).toLong() * 60 + (digits.length() > 2 ? digits.substring(2).toLong() : 0)
        return zone.startsWith('-') ? -minutes : minutes
    }

    /** Parses JSON into maps and lists that survive a restart of Jenkins; null if it is not JSON. */
    @NonCPS
    static Object fromJson(String text) {
        try {
            return plain(new JsonSlurper().parseText(text))
        } catch (Exception ignored) { // for example, an error page
            return null
        }
    }

    @NonCPS
    private static Object plain(Object value) {
        if (value instanceof Map) {
            Map copy = [:]
            for (entry in ((Map) value).entrySet()) {
                copy.put(entry.getKey(), plain(entry.getValue()))
            }
            return copy
        }
        if (value instanceof List) {
            List copy = []
            for (item in (List) value) {
                copy.add(plain(item))
            }
            return copy
        }
        return value
    }

}
