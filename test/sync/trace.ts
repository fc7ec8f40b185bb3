/** A system call in the output of `strace -f -y -ttt -T`. Times in seconds; lines count from 0. */
export interface Call {
  readonly name: string
  /** What stands between the parentheses. */
  readonly text: string
  /** The path behind the descriptor that comes first, or, of openat, the path that was opened. */
  readonly path: string
  readonly enteredAt: number
  readonly enteredLine: number
  returnedAt: number
  /** Infinity: it had not returned at the end of the trace. */
  returnedLine: number
  result: number
  /** strace held the process back for a while after this line was written. */
  isDelayed: boolean
}

const BEGIN = /^(\d+) +(\d+\.\d+) (?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))$/s
const END = /\) += (-?\d+)(?:<[^>]*>)?((?: [A-Z]\w*| \([^)]*\))*) <(\d+\.\d+)>$/
const UNFINISHED = ' <unfinished ...>'

/** Reads a trace; lines that are no calls are skipped. Throws an Error for data that strace has shortened. */
export function parseTrace(trace: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, Call>()
  for (const [number, line] of trace.split('\n').entries()) {
    const [, thread, time, name, begun, resumed, rest] = BEGIN.exec(line) ?? []
    if (thread === undefined) continue
    if (resumed !== undefined) {
      const call = open.get(thread)
      if (call) finish(call, rest!, number)
      open.delete(thread)
      continue
    }
    const unfinished = begun!.endsWith(UNFINISHED)
    const text = unfinished ? begun!.slice(0, -UNFINISHED.length) : begun!.replace(END, '')
    if (/"\.\.\./.test(text))
      throw new Error(`line ${number + 1} of the trace was shortened; raise strace -s`)
    const call: Call = {
      name: name!,
      text,
      path: pathIn(name!, text),
      enteredAt: Number(time),
      enteredLine: number,
      returnedAt: Number.POSITIVE_INFINITY,
      returnedLine: Number.POSITIVE_INFINITY,
      result: Number.NaN,
      isDelayed: false,
    }
    calls.push(call)
    if (unfinished) open.set(thread, call)
    else finish(call, begun!, number)
  }
  return calls
}

function pathIn(name: string, text: string): string {
  const match = name === 'openat' ? /, "([^"]*)"/.exec(text) : /^\d+<([^>]*)>/.exec(text)
  return match?.[1] ?? ''
}

function finish(call: Call, text: string, line: number): void {
  const [, result, flags, seconds] = END.exec(text) ?? []
  // Of a thread that ended in the call, strace knows no result.
  if (result === undefined) return
  call.result = Number(result)
  call.returnedLine = line
  call.returnedAt = call.enteredAt + Number(seconds)
  call.isDelayed = flags!.includes('DELAYED')
}
