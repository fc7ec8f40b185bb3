/**
 * The selector language of Jakarta Messaging 3.8.1 written down a second time, as a grammar. What may stand where is said by
 * the rules themselves: there is a rule for numbers, one for texts and one for conditions. Shares nothing with src.
 */
export const grammar: string = String.raw`
Selector = _ @Or _ !.

Or = head:And tail:(_ OR _ @And)* { return tail.reduce((left, right) => ['or', left, right], head) }
And = head:Not tail:(_ AND _ @Not)* { return tail.reduce((left, right) => ['and', left, right], head) }
Not = NOT _ operand:Not { return ['not', operand] } / Predicate

Predicate
  = value:Sum _ not:(@NOT _)? BETWEEN _ low:Sum _ AND _ high:Sum { return ['between', !!not, value, low, high] }
  / name:Name _ not:(@NOT _)? IN _ "(" _ head:Element tail:(_ "," _ @Element)* _ ")"
    { return ['in', !!not, name, [head, ...tail]] }
  / name:Name _ not:(@NOT _)? LIKE _ pattern:String escape:(_ ESCAPE _ @Character)?
    & { return !endsEscaped(pattern, escape) }
    { return ['like', !!not, name, pattern, escape] }
  / name:Name _ IS _ not:(@NOT _)? NULL { return ['null', !!not, name] }
  / left:Sum _ operator:$("<=" / ">=" / "<" !">" / ">") _ right:Sum { return ['compare', operator, left, right] }
  / left:Any _ operator:$("=" / "<>") _ right:Any { return ['compare', operator, left, right] }
  / Boolean / name:Name { return ['name', name] }

Any = Sum / Text / Boolean
Text = text:String { return ['text', text] } / "(" _ @Text _ ")"
Boolean = TRUE { return ['boolean', true] } / FALSE { return ['boolean', false] } / "(" _ @Or _ ")"

Sum = head:Product tail:(_ @[+-] _ @Product)*
  { return tail.reduce((left, [operator, right]) => ['calculate', operator, left, right], head) }
Product = head:Signed tail:(_ @[*/] _ @Signed)*
  { return tail.reduce((left, [operator, right]) => ['calculate', operator, left, right], head) }
Signed
  = "-" _ number:Number { return ['minus', ['number', number]] }
  / sign:[+-] _ operand:Signed { return [sign === '-' ? 'minus' : 'plus', operand] }
  / number:Number & { return typeof number !== 'bigint' || number < 2n ** 63n } { return ['number', number] }
  / "(" _ @Sum _ ")"
  / name:Identifier { return ['name', name] }

Element
  = text:String { return text }
  / "-" _ number:Number { return -number }
  / ("+" _)? number:Number & { return typeof number !== 'bigint' || number < 2n ** 63n } { return number }

Name = Identifier / "(" _ @Name _ ")"

Number
  = text:$(([0-9]+ "." [0-9]* / "." [0-9]+) Exponent? / [0-9]+ Exponent) [dD]? !Part { return Number(text) }
  / text:$([0-9]+) [dD] !Part { return Number(text) }
  / text:$(([0-9]+ "." [0-9]* / "." [0-9]+) Exponent? / [0-9]+ Exponent?) [fF] !Part { return Math.fround(Number(text)) }
  / text:$("0" [xX] [0-9a-fA-F]+) [lL]? !Part & { return BigInt(text) <= 2n ** 63n } { return BigInt(text) }
  / "0" digits:$[0-7]+ [lL]? !Part & { return BigInt('0o' + digits) <= 2n ** 63n } { return BigInt('0o' + digits) }
  / text:$("0" / [1-9] [0-9]*) [lL]? !Part & { return BigInt(text) <= 2n ** 63n } { return BigInt(text) }
Exponent = [eE] [+-]? [0-9]+

String = "'" characters:("''" { return "'" } / [^'])* "'" { return characters.join('') }
Character = text:String & { return [...text].length === 1 } { return text }

Identifier = !(Keyword) text:$([a-zA-Z_$] Part*) & { return isSelectable(text) } { return text }
Part = [a-zA-Z0-9_$]
Keyword = NULL / TRUE / FALSE / NOT / AND / OR / BETWEEN / LIKE / IN / IS / ESCAPE

NULL = "NULL"i !Part
TRUE = "TRUE"i !Part
FALSE = "FALSE"i !Part
NOT = "NOT"i !Part { return true }
AND = "AND"i !Part
OR = "OR"i !Part
BETWEEN = "BETWEEN"i !Part
LIKE = "LIKE"i !Part
IN = "IN"i !Part
IS = "IS"i !Part
ESCAPE = "ESCAPE"i !Part

_ = [ \t\f\r\n]*
`

/** What the predicates of the grammar call. */
export const helpers: string = `{
  const headers = ['DeliveryMode', 'Priority', 'MessageID', 'Timestamp', 'CorrelationID', 'Type'].map((name) => 'JMS' + name)
  function isSelectable(name) {
    return !name.startsWith('JMS') || name[3] === 'X' || name[3] === '_' || headers.includes(name)
  }
  function endsEscaped(pattern, escape) {
    let escaped = false
    for (const character of pattern) escaped = !escaped && character === escape
    return escaped
  }
}
`
