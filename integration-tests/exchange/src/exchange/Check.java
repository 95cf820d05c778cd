package exchange;

import java.util.List;
import java.util.TreeSet;

/** Ends the program with a reason. */
final class Check {
    private static final int SHOWN = 12;

    private Check() {}

    static void that(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }

    /** Fails with the lines that only one of both has. */
    static void same(List<String> before, List<String> after, String what) {
        TreeSet<String> missing = new TreeSet<>(before);
        after.forEach(missing::remove);
        TreeSet<String> added = new TreeSet<>(after);
        before.forEach(added::remove);
        boolean equal = missing.isEmpty() && added.isEmpty() && before.size() == after.size();
        that(equal, what + ": " + missing.size() + " lines before, " + added.size() + " lines after\n"
            + shown("- ", missing) + shown("+ ", added));
    }

    private static String shown(String sign, TreeSet<String> lines) {
        StringBuilder text = new StringBuilder();
        lines.stream().limit(SHOWN).forEach(line -> text.append(sign).append(line, 0, Math.min(400, line.length())).append('\n'));
        return text.toString();
    }
}
