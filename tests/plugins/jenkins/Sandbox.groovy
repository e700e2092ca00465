import java.util.concurrent.atomic.AtomicLong
import org.codehaus.groovy.runtime.InvokerHelper

/**
 * The script-security sandbox in small: every call, constructor and property of the library that is not its own
 * must have a line in whitelist.txt, which are lines of the plugin's generic-whitelist.
 */
class Sandbox {

    /** How many calls there were: in a real sandbox each takes time of the controller. */
    static final AtomicLong calls = new AtomicLong()

    static final Set<List> RULES = [] as LinkedHashSet
    static final Map BOXES = [
        int: Integer, long: Long, double: Double, float: Float, boolean: Boolean, char: Character, byte: Byte, short: Short,
    ]

    /** What script-security's SandboxInterceptor lets all numbers do. */
    static final List NUMBER_MATH = [
        'plus', 'minus', 'multiply', 'div', 'compareTo', 'or', 'and', 'xor', 'intdiv', 'mod', 'leftShift', 'rightShift',
    ]

    static void load(File file) {
        file.eachLine { line ->
            if (line && !line.startsWith('#')) {
                RULES.add(line.tokenize(' '))
            }
        }
    }

    static Object call(Object receiver, String name, Object[] arguments, boolean isSafe) {
        calls.incrementAndGet()
        if (receiver == null && isSafe) {
            return null
        }
        check(receiver, name, arguments)
        return InvokerHelper.invokeMethod(receiver, name, arguments)
    }

    static Object make(Class type, Object[] arguments) {
        calls.incrementAndGet()
        boolean isListed = RULES.any { it[0] == 'new' && it[1] == type.name && fits(it.drop(2), arguments as List) }
        if (!isOwn(type) && !isListed) {
            throw new RejectedAccessException('new ' + type.name + ' ' + types(arguments))
        }
        return InvokerHelper.invokeConstructorOf(type, arguments)
    }

    static Object property(Object receiver, String name, boolean isSafe) {
        calls.incrementAndGet()
        if (receiver == null && isSafe) {
            return null
        }
        boolean isFree = receiver == null || receiver instanceof Map || receiver.getClass().isArray() ||
            isOwn(receiver instanceof Class ? receiver : receiver.getClass())
        if (!isFree) {
            check(receiver, 'get' + name.capitalize(), new Object[0])
        }
        return InvokerHelper.getProperty(receiver, name)
    }

    static void check(Object receiver, String name, Object[] arguments) {
        if (receiver == null || receiver instanceof Number && name in NUMBER_MATH || isOwn(receiver instanceof Class ? receiver : receiver.getClass())) {
            return
        }
        List given = arguments as List
        boolean isListed = receiver instanceof Class
            ? RULES.any { it[0] == 'staticMethod' && it[1] == receiver.name && it[2] == name && fits(it.drop(3), given) }
            : RULES.any {
                it[0] == 'method' && it[2] == name && fits([it[1]] + it.drop(3), [receiver] + given) ||
                    it[0] == 'staticMethod' && it[1].startsWith('org.codehaus.groovy.runtime.') && it[2] == name &&
                    fits(it.drop(3), [receiver] + given)
            }
        if (!isListed) {
            throw new RejectedAccessException((receiver instanceof Class ? receiver.name : receiver.getClass().name) + ' ' + name + ' ' + types(arguments))
        }
    }

    private static boolean fits(List wanted, List given) {
        if (wanted && wanted.last() == 'java.lang.Object[]') {
            return given.size() >= wanted.size() - 1 && fits(wanted.init(), given.take(wanted.size() - 1))
        }
        return wanted.size() == given.size() && (0..<given.size()).every { wanted.isEmpty() || isInstance(wanted[it], given[it]) }
    }

    private static boolean isInstance(String type, Object value) {
        Class wanted = BOXES[type] ?: (type.endsWith('[]') ? Class.forName('[' + 'B') : Class.forName(type))
        boolean isNumber = Number.isAssignableFrom(wanted) && value instanceof Number
        return value == null || wanted.isInstance(value) || isNumber || wanted == String && value instanceof GString
    }

    private static boolean isOwn(Class type) {
        return type.name.startsWith('io.apitraffic.') || Script.isAssignableFrom(type) || Whitelisted.isAssignableFrom(type) ||
            Closure.isAssignableFrom(type)
    }

    private static String types(Object[] arguments) {
        return arguments.collect { it == null ? 'null' : it.getClass().name }.join(' ')
    }

}
