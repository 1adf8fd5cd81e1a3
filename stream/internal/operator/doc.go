// Package operator holds the code behind the DSL: each function makes the topology node of one operator, typed, for the plan.
//
// A node's Build runs once per task and returns closures over that task's scope; a record then costs one function call per
// operator and allocates nothing. State that an operator keeps outside its store (its own stream time) lives in those
// closures, so that closing the task drops it.
//
// Null follows DESIGN's rule. Where a type can hold nil, user functions see null as nil, exactly as in Kafka Streams. Where it
// cannot, a null key reaches them as the zero value, and a null value never reaches them: the record passes on past functions
// of the value, and is dropped and counted where its key would have to be computed.
package operator
