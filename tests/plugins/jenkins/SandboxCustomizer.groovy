import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.syntax.Types

/** Sends the library's calls through Sandbox, and sees that no @NonCPS method calls one that is not. */
class SandboxCustomizer extends CompilationCustomizer {

    final List<String> findings

    SandboxCustomizer(List<String> findings) {
        super(CompilePhase.CANONICALIZATION)
        this.findings = findings
    }

    @Override
    void call(SourceUnit source, GeneratorContext context, ClassNode node) {
        Checks checks = new Checks(source, node, findings)
        checks.visitClass(node)
    }

    static class Checks extends ClassCodeExpressionTransformer {

        private final SourceUnit source
        private final ClassNode owner
        private final List<String> findings
        private MethodNode current

        Checks(SourceUnit source, ClassNode owner, List<String> findings) {
            this.source = source
            this.owner = owner
            this.findings = findings
        }

        @Override
        protected SourceUnit getSourceUnit() {
            return source
        }

        @Override
        void visitMethod(MethodNode node) {
            current = node
            super.visitMethod(node)
            current = null
        }

        @Override
        Expression transform(Expression expression) {
            if (expression instanceof ClosureExpression) {
                expression.code.visit(this)
                return expression
            }
            if (expression instanceof BinaryExpression && Types.ofType(expression.operation.type, Types.ASSIGNMENT_OPERATOR)) {
                BinaryExpression assignment = expression
                assignment.rightExpression = transform(assignment.rightExpression)
                return assignment
            }
            if (expression instanceof StaticMethodCallExpression) {
                seeTarget(expression.ownerType, expression.method)
                return expression.transformExpression(this)
            }
            if (expression instanceof MethodCallExpression) {
                return call(expression)
            }
            if (expression instanceof ConstructorCallExpression && !expression.isSpecialCall()) {
                ClassNode type = expression.type
                return toSandbox('make', [new ClassExpression(type), array(expression.arguments)])
            }
            if (expression instanceof PropertyExpression && !(expression.objectExpression instanceof ClassExpression)) {
                boolean isThis = expression.objectExpression instanceof VariableExpression && expression.objectExpression.isThisExpression()
                if (!isThis) {
                    return toSandbox('property', [transform(expression.objectExpression), transform(expression.property),
                                                  new ConstantExpression(expression.safe)])
                }
            }
            return super.transform(expression)
        }

        private Expression call(MethodCallExpression expression) {
            Expression object = expression.objectExpression
            boolean isThis = object instanceof VariableExpression && (object.isThisExpression() || object.isSuperExpression())
            if (isThis) {
                seeTarget(owner, expression.methodAsString)
                return expression.transformExpression(this)
            }
            if (object instanceof ClassExpression) {
                seeTarget(object.type, expression.methodAsString)
            } else if (isNonCps() && object instanceof VariableExpression && object.name in ['script', 'steps']) {
                findings.add(owner.name + '.' + current.name + ' is @NonCPS and calls the step ' + expression.methodAsString)
            }
            return toSandbox('call', [transform(object), transform(expression.method), array(expression.arguments),
                                      new ConstantExpression(expression.safe)])
        }

        private void seeTarget(ClassNode type, String method) {
            List<MethodNode> targets = type.name.startsWith('io.apitraffic.') ? type.redirect().getMethods(method) : []
            if (isNonCps() && targets.any { !it.annotations.any { it.classNode.nameWithoutPackage == 'NonCPS' } }) {
                findings.add(owner.name + '.' + current.name + ' is @NonCPS and calls ' + type.name + '.' + method + ', which is not')
            }
        }

        private boolean isNonCps() {
            return current != null && current.annotations.any { it.classNode.nameWithoutPackage == 'NonCPS' }
        }

        private Expression array(Expression arguments) {
            List<Expression> items = arguments instanceof TupleExpression ? arguments.expressions : [arguments]
            List<Expression> plain = items.collect {
                Expression item = it instanceof NamedArgumentListExpression ? new MapExpression(it.mapEntryExpressions) : it
                return transform(item)
            }
            return new ArrayExpression(org.codehaus.groovy.ast.ClassHelper.OBJECT_TYPE, plain)
        }

        private static Expression toSandbox(String method, List<Expression> arguments) {
            ClassExpression sandbox = new ClassExpression(org.codehaus.groovy.ast.ClassHelper.make(Sandbox))
            return new StaticMethodCallExpression(sandbox.type, method, new ArgumentListExpression(arguments))
        }

    }

}
