import { writeFileSync } from 'node:fs';

/** Writes what was skipped, and why, to the file that `DORMOUSE_SKIPPED_FILE` names. Vitest's own JSON leaves the reasons out. */
export default class SkippedReporter {
  onTestRunEnd(modules) {
    const file = process.env.DORMOUSE_SKIPPED_FILE;
    if (file === undefined) return;
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests('skipped')].map((test) => ({
        name: `${module.relativeModuleId ?? module.moduleId}: ${test.fullName}`,
        reason: test.result().note ?? 'no reason is given',
      })),
    );
    writeFileSync(file, JSON.stringify(skipped));
  }
}
