// Plain JavaScript that any Node.js understands, so that a version that is too old gets an answer and not a syntax error.
const wanted = 24
const major = Number(process.versions.node.split('.')[0])

if (major < wanted) {
  console.error(
    [
      `Millrace is developed on Node.js ${wanted}; this is ${process.version} (${process.execPath}).`,
      `The development dependency "node" brings version ${wanted}, and npm scripts find it first. Do this:`,
      '  npm ci',
      'If npm answers that the install script of "node" was skipped, allow it and run it:',
      '  npm install-scripts approve node && npm rebuild node',
      'Without npm scripts, put node_modules/.bin first in PATH.',
    ].join('\n'),
  )
  process.exit(1)
}
