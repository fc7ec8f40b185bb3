import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { checkArrows } from '../../tools/house/arrows.ts'
import { checkBans } from '../../tools/house/bans.ts'
import { checkGraph } from '../../tools/house/graph.ts'
import { readLayers } from '../../tools/house/layers.ts'
import { publishedPackages, readManifest, readSources } from '../../tools/house/repository.ts'
import { checkSizes } from '../../tools/house/sizes.ts'
import { describeViolations, type Violation } from '../../tools/house/source.ts'

function none(violations: readonly Violation[]): void {
  assert.equal(violations.length, 0, `\n${describeViolations(violations)}`)
}

suite('the sources keep the rules of the house (tools/layers.json)', () => {
  const layers = readLayers()
  const packages = publishedPackages(readManifest())
  const sources = readSources()

  test('imports between rooms point one way', () => {
    none(sources.flatMap((source) => checkArrows(source, layers, packages)))
  })

  test('time, randomness and I/O come through ports; no leftover marks, no any', () => {
    none(sources.flatMap((source) => checkBans(source, layers)))
  })

  test('files and functions stay below their limits', () => {
    none(sources.flatMap((source) => checkSizes(source, layers)))
  })

  test('no file or export is dead, no imports run in circles', () => {
    none(checkGraph(sources, layers))
  })
})
